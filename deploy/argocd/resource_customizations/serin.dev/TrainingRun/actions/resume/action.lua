-- As if it had never been suspended. A field of the spec: where Git says otherwise, the next sync takes it back.
obj.spec.suspend = nil
return obj
