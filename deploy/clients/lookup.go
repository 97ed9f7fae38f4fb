// Go's own resolver. With the demo (`callsign serve --manifests zones/demo`):
//
//	go run lookup.go 127.0.0.1:5354 tri org.acme.greeter.default.rpc.cluster.local.
//
// In a cluster use net.DefaultResolver. The final dot keeps Go from trying the search domains.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
)

func main() {
	server, protocol, name := os.Args[1], os.Args[2], os.Args[3]
	resolver := &net.Resolver{
		PreferGo: true, // the system's resolver would not call Dial
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, server)
		},
	}
	_, records, err := resolver.LookupSRV(context.Background(), protocol, "tcp", name)
	var failure *net.DNSError
	if errors.As(err, &failure) && failure.IsNotFound {
		// No such interface, or no ready endpoint: Go does not distinguish the two.
		fmt.Println("no endpoints")
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	for _, srv := range records { // already shuffled by weight
		fmt.Printf("%s:%d weight %d\n", srv.Target, srv.Port, srv.Weight)
	}
}
