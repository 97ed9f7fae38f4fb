// Runs a service of go-micro in a Pod, for tests/cluster/registrars_run.rs. The service registers itself when it starts, again
// each second, and withdraws at SIGTERM. All that is written to the Pod, go-micro's own Kubernetes registry writes.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/go-micro/plugins/v4/registry/kubernetes"
	"go-micro.dev/v4"
	"go-micro.dev/v4/server"
)

// Greeter is what the service offers.
type Greeter struct{}

// Hello says hello to a name.
func (*Greeter) Hello(_ context.Context, name *string, hello *string) error {
	*hello = "Hello, " + *name
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run takes the service's name, its version, its node's metadata as a JSON object, and the address that it registers.
func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("usage: micro NAME VERSION METADATA ADDRESS")
	}
	metadata := map[string]string{}
	if err := json.Unmarshal([]byte(args[2]), &metadata); err != nil {
		return err
	}
	service := micro.NewService(
		micro.Name(args[0]),
		micro.Version(args[1]),
		micro.Metadata(metadata),
		micro.Address("127.0.0.1:0"),
		micro.Registry(kubernetes.NewRegistry()),
		micro.RegisterInterval(time.Second),
	)
	// A Pod's address is on no interface of the test's machine.
	if err := service.Server().Init(server.Advertise(args[3])); err != nil {
		return err
	}
	if err := micro.RegisterHandler(service.Server(), &Greeter{}); err != nil {
		return err
	}
	return service.Run()
}
