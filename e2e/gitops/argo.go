package main

import (
	"fmt"
	"os"
	"strings"

	argoproj "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/gitops-engine/pkg/health"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const prefix = "resource.customizations."

// argo is Argo CD's engine with the scripts of an argocd-cm.
type argo struct{ vm lua.VM }

// engine reads the keys of an argocd-cm: resource.customizations.TYPE.GROUP_KIND. Libraries stay closed, as they are for
// scripts of a ConfigMap that does not open them.
func engine(path string) (*argo, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var configMap struct {
		Data map[string]string `json:"data"`
	}
	if err := yaml.Unmarshal(text, &configMap); err != nil {
		return nil, err
	}
	overrides := map[string]argoproj.ResourceOverride{}
	for key, value := range configMap.Data {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		kind, groupKind, ok := strings.Cut(rest, ".")
		if !ok {
			return nil, fmt.Errorf("%s has no kind", key)
		}
		of := strings.Replace(groupKind, "_", "/", 1)
		override := overrides[of]
		switch kind {
		case "health":
			override.HealthLua = value
		case "actions":
			override.Actions = value
			if _, err := override.GetActions(); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		default:
			return nil, fmt.Errorf("%s: nobody tests this", key)
		}
		overrides[of] = override
	}
	if len(overrides) == 0 {
		return nil, fmt.Errorf("%s has no %s*", path, prefix)
	}
	return &argo{lua.VM{ResourceOverrides: overrides}}, nil
}

func (a *argo) health(object *unstructured.Unstructured) (*health.HealthStatus, error) {
	script, _, err := a.vm.GetHealthScript(object)
	if err != nil {
		return nil, err
	}
	if script == "" {
		return nil, fmt.Errorf("no health script for %s", object.GroupVersionKind())
	}
	return a.vm.ExecuteHealthLua(object, script)
}

func (a *argo) discover(object *unstructured.Unstructured) ([]argoproj.ResourceAction, error) {
	scripts, err := a.vm.GetResourceActionDiscovery(object)
	if err != nil {
		return nil, err
	}
	return a.vm.ExecuteResourceActionDiscovery(object, scripts)
}

// act gives the object as the action wants it.
func (a *argo) act(object *unstructured.Unstructured, name string) (*unstructured.Unstructured, error) {
	action, err := a.vm.GetResourceAction(object, name)
	if err != nil {
		return nil, err
	}
	impacted, err := a.vm.ExecuteResourceAction(object.DeepCopy(), action.ActionLua, nil)
	if err != nil {
		return nil, err
	}
	if len(impacted) != 1 || impacted[0].K8SOperation != lua.PatchOperation {
		return nil, fmt.Errorf("it is no patch of the object alone: %v", impacted)
	}
	return impacted[0].UnstructuredObj, nil
}
