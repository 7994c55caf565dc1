package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"sort"

	argoproj "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/health"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The files are those of Argo CD's own resource_customizations, so that the folder could go there as it is.

type healthTests struct {
	Tests []struct {
		InputPath    string              `json:"inputPath"`
		HealthStatus health.HealthStatus `json:"healthStatus"`
	} `json:"tests"`
}

type actionTests struct {
	DiscoveryTests []struct {
		InputPath string                    `json:"inputPath"`
		Result    []argoproj.ResourceAction `json:"result"`
	} `json:"discoveryTests"`
	ActionTests []struct {
		Action             string `json:"action"`
		InputPath          string `json:"inputPath"`
		ExpectedOutputPath string `json:"expectedOutputPath"`
	} `json:"actionTests"`
}

// tests runs all tests below a folder, and fails with those that fail. Each action and each answer that a health script
// gives must be seen at least once.
func (a *argo) tests(folder string) error {
	count, failed := map[string]int{}, 0
	check := func(what, file string, wanted, found any, err error) {
		count[what]++
		if err == nil && !same(wanted, found) {
			err = fmt.Errorf("wanted %s\n  found %s", text(wanted), text(found))
		}
		if err != nil {
			failed++
			fmt.Printf("FAILED %s %s: %v\n", what, file, err)
		}
	}
	untested := map[string]bool{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch entry.Name() {
		case "action.lua":
			untested[filepath.Dir(path)] = true
		case "health_test.yaml":
			return a.healthTests(path, check)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "action_test.yaml" {
			return a.actionTests(path, check, untested)
		}
		return err
	})
	if err != nil {
		return err
	}
	for action := range untested {
		failed++
		fmt.Printf("FAILED %s has no test\n", action)
	}
	fmt.Printf("%d of health, %d of discovery, %d of actions\n", count["health"], count["discovery"], count["action"])
	if failed > 0 {
		return fmt.Errorf("%d tests failed", failed)
	}
	return nil
}

type check func(what, file string, wanted, found any, err error)

func (a *argo) healthTests(path string, check check) error {
	var tests healthTests
	if err := load(path, &tests); err != nil {
		return err
	}
	for _, test := range tests.Tests {
		input := filepath.Join(filepath.Dir(path), test.InputPath)
		object, err := object(input)
		if err != nil {
			return err
		}
		found, err := a.health(object)
		check("health", input, &test.HealthStatus, found, err)
	}
	return nil
}

func (a *argo) actionTests(path string, check check, untested map[string]bool) error {
	var tests actionTests
	if err := load(path, &tests); err != nil {
		return err
	}
	folder := filepath.Dir(path)
	for _, test := range tests.DiscoveryTests {
		input := filepath.Join(folder, test.InputPath)
		object, err := object(input)
		if err != nil {
			return err
		}
		found, err := a.discover(object)
		for _, list := range [][]argoproj.ResourceAction{found, test.Result} {
			sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
		}
		check("discovery", input, test.Result, found, err)
	}
	for _, test := range tests.ActionTests {
		input := filepath.Join(folder, test.InputPath)
		before, err := object(input)
		if err != nil {
			return err
		}
		wanted, err := object(filepath.Join(folder, test.ExpectedOutputPath))
		if err != nil {
			return err
		}
		after, err := a.act(before, test.Action)
		check("action", test.Action+" "+input, wanted, after, err)
		delete(untested, filepath.Join(folder, test.Action))
	}
	return nil
}

func load(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func object(path string) (*unstructured.Unstructured, error) {
	content := map[string]any{}
	if err := load(path, &content); err != nil {
		return nil, err
	}
	return &unstructured.Unstructured{Object: content}, nil
}

// same compares what they are on the wire: Lua knows one kind of number.
func same(a, b any) bool {
	var x, y any
	if json.Unmarshal([]byte(text(a)), &x) != nil || json.Unmarshal([]byte(text(b)), &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

func text(value any) string {
	if object, ok := value.(*unstructured.Unstructured); ok && object != nil {
		value = object.Object
	}
	written, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(written)
}
