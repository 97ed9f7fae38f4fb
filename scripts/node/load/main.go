// Load for scripts/test-node: it asks DNS and calls what it finds, at a steady rate, and counts what is lost.
//
//	load pause                                   does nothing (the image of a Pod's sandbox)
//	load run -name NAME -server A:P -through A:P  asks and calls until it is stopped; GET :9000/ shows the counts
//
// Nothing is tried twice but the queries of kept sockets: a query without a right answer is lost, a call without a reply has
// failed.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// How long a reply may take before it counts as lost.
	patience = 5 * time.Second
	// How often a new socket asks the server.
	freshEvery = 10 * time.Millisecond
	// How many sockets are kept, and how often each of them asks.
	keptSockets = 10
	keptEvery   = 100 * time.Millisecond
	// After how long a kept socket asks again, once.
	againAfter = 30 * time.Millisecond
	// How often a new socket asks through the cluster's DNS.
	throughEvery = 50 * time.Millisecond
	// How many callers there are, and how long each rests between two calls.
	callers    = 10
	callsPause = 100 * time.Millisecond
)

// A count of what was tried and what was lost.
type tally struct {
	name        string
	tried, lost atomic.Int64
}

// Replies, and those that say that there is no such name: while a server restarts, its name must stay.
var names = &tally{name: "names"}

func (t *tally) note(err error) {
	t.tried.Add(1)
	if err != nil {
		t.lost.Add(1)
		log.Printf("%s: %v", t.name, err)
	}
}

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	if len(os.Args) < 2 {
		log.Fatal("usage: load pause | load run -name NAME -server ADDR:PORT -through ADDR:PORT")
	}
	switch os.Args[1] {
	case "pause":
		end := make(chan os.Signal, 1)
		signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
		<-end
	case "run":
		run(os.Args[2:])
	default:
		log.Fatalf("%q is neither pause nor run", os.Args[1])
	}
}

func run(args []string) {
	flags := flag.NewFlagSet("run", flag.ExitOnError)
	name := flags.String("name", "", "the SRV name to ask for, with a final dot")
	server := flags.String("server", "", "callsign's Service")
	through := flags.String("through", "", "the cluster's DNS")
	flags.Parse(args)

	fresh, kept := &tally{name: "fresh"}, &tally{name: "kept"}
	cached, calls := &tally{name: "through"}, &tally{name: "calls"}
	go every(freshEvery, func() { go func() { fresh.note(askOnce(*server, *name)) }() })
	go every(throughEvery, func() { go func() { cached.note(askOnce(*through, *name)) }() })
	for range keptSockets {
		go askOnOneSocket(kept, *server, *name)
	}
	for range callers {
		go call(calls, *through, *name)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		for _, t := range []*tally{fresh, kept, cached, calls, names} {
			fmt.Fprintln(w, t.name, t.tried.Load(), t.lost.Load())
		}
	})
	log.Fatal(http.ListenAndServe(":9000", nil))
}

// Does something at a steady rate, whatever it takes.
func every(interval time.Duration, do func()) {
	for range time.Tick(interval) {
		do()
	}
}
