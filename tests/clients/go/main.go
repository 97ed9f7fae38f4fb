// Prints a Go program's view of the server, for tests/live/other_clients.rs to check: through the standard library's resolver (`lookup`),
// and through gRPC's.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sort"
	"strings"
)

func main() {
	lines, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	sort.Strings(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
}

// run takes the server's address, a command and its arguments. It returns the lines to print, in no order.
func run(args []string) ([]string, error) {
	if len(args) < 3 {
		return nil, errors.New("usage: clients SERVER srv|txt|host|netip|ptr|grpc ARGUMENT...")
	}
	server, command, rest := args[0], args[1], args[2:]
	if command == "grpc" {
		return callAll(server, rest[0], rest[1:])
	}
	lines, err := lookup(resolver(server), command, rest)
	var failure *net.DNSError
	if errors.As(err, &failure) {
		return []string{describe(failure)}, nil
	}
	return lines, err
}

// describe returns how a program interprets a failed lookup: only "not found" is an answer.
func describe(failure *net.DNSError) string {
	var is []string
	for word, holds := range map[string]bool{
		"not-found": failure.IsNotFound,
		"temporary": failure.IsTemporary,
		"timeout":   failure.IsTimeout,
	} {
		if holds {
			is = append(is, word)
		}
	}
	if len(is) == 0 {
		is = []string{"refused"} // or any other error of the server's
	}
	sort.Strings(is)
	return fmt.Sprintf("error: %s", strings.Join(is, " "))
}
