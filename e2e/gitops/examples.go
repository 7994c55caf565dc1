package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	argoproj "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	flux "github.com/fluxcd/kustomize-controller/api/v1"
	source "github.com/fluxcd/source-controller/api/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Their own types of what our examples show.
var known = map[string]func() any{
	"argoproj.io/v1alpha1 Application":             func() any { return &argoproj.Application{} },
	"argoproj.io/v1alpha1 ApplicationSet":          func() any { return &argoproj.ApplicationSet{} },
	"argoproj.io/v1alpha1 AppProject":              func() any { return &argoproj.AppProject{} },
	"kustomize.toolkit.fluxcd.io/v1 Kustomization": func() any { return &flux.Kustomization{} },
	"source.toolkit.fluxcd.io/v1 GitRepository":    func() any { return &source.GitRepository{} },
}

// examples reads every document below a folder that is of a kind of theirs, and refuses fields that they do not know. It
// says how many there were of each.
func examples(folder string) error {
	count := map[string]int{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			var head struct {
				APIVersion string `json:"apiVersion"`
				Kind       string `json:"kind"`
			}
			if err := yaml.Unmarshal(document, &head); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			what := head.APIVersion + " " + head.Kind
			if into, ok := known[what]; ok {
				if err := yaml.UnmarshalStrict(document, into()); err != nil {
					return fmt.Errorf("%s: %s: %w", path, what, err)
				}
				count[what]++
			}
		}
	})
	if err != nil {
		return err
	}
	for what := range known {
		if count[what] == 0 {
			return fmt.Errorf("no example of %s", what)
		}
	}
	fmt.Println(count)
	return nil
}
