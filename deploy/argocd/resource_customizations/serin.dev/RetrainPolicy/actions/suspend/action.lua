-- A field of the spec: where Git says otherwise, the next sync takes it back.
obj.spec.suspend = true
return obj
