// Command serin-gitops asks the engines that others judge Serin's objects by: Argo CD's for health and actions, and
// kstatus, which Flux and Helm read.
//
//	serin-gitops tests CONFIGMAP FOLDER   runs the tests of a folder of resource customizations
//	serin-gitops read CONFIGMAP           reads objects from standard input, one JSON a line, and says what it sees in each
//	serin-gitops examples FOLDER          reads files of Argo CD's and Flux' kinds, and refuses fields that they do not know
//
// CONFIGMAP is an argocd-cm: the scripts are those that an Argo CD would run, not files beside it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "serin-gitops:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "tests":
		argo, err := engine(args[1])
		if err != nil {
			return err
		}
		return argo.tests(args[2])
	case len(args) == 2 && args[0] == "read":
		argo, err := engine(args[1])
		if err != nil {
			return err
		}
		return read(argo)
	case len(args) == 2 && args[0] == "examples":
		return examples(args[1])
	}
	return fmt.Errorf("usage: serin-gitops tests CONFIGMAP FOLDER | read CONFIGMAP | examples FOLDER")
}

// seen is what there is to say about an object.
type seen struct {
	Kstatus string `json:"kstatus"`
	Health  string `json:"health"`
	Message string `json:"message"`
	// Those that are offered, with the annotations that each would leave.
	Actions map[string]map[string]string `json:"actions"`
}

func read(argo *argo) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 4<<20)
	out := bufio.NewWriter(os.Stdout)
	answers := json.NewEncoder(out)
	for lines.Scan() {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(lines.Bytes()); err != nil {
			return fmt.Errorf("%w: %s", err, lines.Text())
		}
		answer, err := look(argo, object)
		if err != nil {
			return fmt.Errorf("%w: %s", err, lines.Text())
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return out.Flush()
}

func look(argo *argo, object *unstructured.Unstructured) (*seen, error) {
	found, err := status.Compute(object)
	if err != nil {
		return nil, err
	}
	health, err := argo.health(object)
	if err != nil {
		return nil, err
	}
	actions, err := argo.discover(object)
	if err != nil {
		return nil, err
	}
	answer := &seen{Kstatus: string(found.Status), Health: string(health.Status), Message: health.Message, Actions: map[string]map[string]string{}}
	for _, action := range actions {
		if action.Disabled {
			continue
		}
		after, err := argo.act(object, action.Name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", action.Name, err)
		}
		answer.Actions[action.Name] = after.GetAnnotations()
	}
	return answer, nil
}
