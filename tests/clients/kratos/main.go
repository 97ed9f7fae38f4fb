// Runs a service of Kratos in a Pod, for tests/cluster/registrars_run.rs. The service registers itself when it starts, and
// withdraws at SIGTERM. All that is written to the Pod, Kratos' own Kubernetes registry writes.
package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"

	registry "github.com/go-kratos/kratos/contrib/registry/kubernetes/v2"
	"github.com/go-kratos/kratos/v2"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run takes the service's name, its version, its metadata as a JSON object, and the URLs of its endpoints.
func run(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("usage: kratos NAME VERSION METADATA URL...")
	}
	metadata := map[string]string{}
	if err := json.Unmarshal([]byte(args[2]), &metadata); err != nil {
		return err
	}
	var endpoints []*url.URL
	for _, arg := range args[3:] {
		endpoint, err := url.Parse(arg)
		if err != nil {
			return err
		}
		endpoints = append(endpoints, endpoint)
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	app := kratos.New(
		kratos.Name(args[0]),
		kratos.Version(args[1]),
		kratos.Metadata(metadata),
		kratos.Endpoint(endpoints...),
		kratos.Registrar(registry.NewRegistry(client, registry.GetNamespace())),
	)
	return app.Run()
}
