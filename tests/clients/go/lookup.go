package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// patience bounds a whole lookup, including its second try and its retry over TCP.
const patience = 10 * time.Second

// resolver asks one server, and ignores the system's resolvers.
func resolver(server string) *net.Resolver {
	return &net.Resolver{
		PreferGo: true, // the system's resolver would not call Dial
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, server)
		},
	}
}

// lookup makes one lookup of the standard library, and returns its results as lines.
func lookup(r *net.Resolver, command string, args []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	name := args[len(args)-1]
	switch command {
	case "srv":
		service, proto := "", ""
		if len(args) == 3 {
			service, proto = args[0], args[1]
		}
		_, records, err := r.LookupSRV(ctx, service, proto, name)
		return lines(records, func(srv *net.SRV) string {
			return fmt.Sprintf("%d %d %d %s", srv.Priority, srv.Weight, srv.Port, srv.Target)
		}), err
	case "txt":
		records, err := r.LookupTXT(ctx, name)
		return records, err
	case "host":
		return r.LookupHost(ctx, name)
	case "netip":
		addresses, err := r.LookupNetIP(ctx, "ip", name)
		return lines(addresses, netip.Addr.String), err
	case "ptr":
		return r.LookupAddr(ctx, name)
	}
	return nil, fmt.Errorf("there is no %s, only srv, txt, host, netip, ptr and grpc", strings.ToUpper(command))
}

func lines[T any](records []T, line func(T) string) []string {
	all := make([]string, 0, len(records))
	for _, record := range records {
		all = append(all, line(record))
	}
	return all
}
