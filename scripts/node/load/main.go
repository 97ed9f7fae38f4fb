// Load for scripts/test-node: it queries DNS and calls the endpoints, at a steady rate, and counts the losses.
//
//	load pause                                   does nothing (the image of a Pod's sandbox)
//	load run -name NAME -server A:P -through A:P  queries and calls until it is stopped; GET :9000/ shows the counts
//
// It repeats only the queries of kept sockets. A query without a correct answer and a call without a reply are lost.
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
	// A query counts as lost if its reply takes longer.
	patience = 5 * time.Second
	// How often a new socket asks the server.
	freshEvery = 10 * time.Millisecond
	// The number of kept sockets, and how often each asks.
	keptSockets = 10
	keptEvery   = 100 * time.Millisecond
	// A kept socket asks again, once, after this time.
	againAfter = 30 * time.Millisecond
	// How often a new socket asks through the cluster's DNS.
	throughEvery = 50 * time.Millisecond
	// The number of callers, and the pause of each between two calls.
	callers    = 10
	callsPause = 100 * time.Millisecond
)

// Counts attempts and losses.
type tally struct {
	name        string
	tried, lost atomic.Int64
}

// Counts replies, and those that say "no such name": while a server restarts, its name must exist.
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

// Runs something at a steady rate, however long each run takes.
func every(interval time.Duration, do func()) {
	for range time.Tick(interval) {
		do()
	}
}
