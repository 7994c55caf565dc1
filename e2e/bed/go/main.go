// Command serin-kube is every Kubernetes program the test bed runs, in one
// static binary, chosen by its first argument (or by the name it is called by).
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"context"

	"github.com/spf13/cobra"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
)

// applets maps a name to what it runs. Each sees os.Args as if it were a
// program of its own, and returns the exit code.
var applets = map[string]func() int{
	"certs":                   certs,
	"etcd":                    etcd,
	"kube-apiserver":          component(apiserver.NewAPIServerCommand),
	"kube-controller-manager": component(controllermanager.NewControllerManagerCommand),
	"kube-scheduler":          component(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kube-proxy":              component(proxy.NewProxyCommand),
	"kubelet":                 component(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"kubectl":                 component(kubectl.NewDefaultKubectlCommand),
}

func component(command func() *cobra.Command) func() int {
	return func() int { return cli.Run(command()) }
}

func main() {
	name := filepath.Base(os.Args[0])
	run, found := applets[name]
	if !found && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		run, found = applets[os.Args[0]]
	}
	if !found {
		names := make([]string, 0, len(applets))
		for known := range applets {
			names = append(names, known)
		}
		sort.Strings(names)
		fmt.Fprintf(os.Stderr, "usage: serin-kube {%s} ARGS\n", strings.Join(names, "|"))
		os.Exit(2)
	}
	os.Exit(run())
}
