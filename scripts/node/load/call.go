package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// Calls the endpoints of a name for ever, each time a random one over a new connection. It uses an answer until its TTL ends.
func call(count *tally, resolver, name string) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	var known []endpoint
	var until time.Time
	for {
		time.Sleep(callsPause)
		if !time.Now().Before(until) {
			asked := time.Now()
			found, err := endpoints(resolver, name)
			if err != nil {
				count.note(fmt.Errorf("resolve: %w", err))
				continue
			}
			known, until = found, asked.Add(found[0].ttl)
		}
		one := known[rand.IntN(len(known))]
		count.note(get(client, "http://"+one.address.String()+"/"))
	}
}

// Any reply counts, because the examples' servers have no page.
func get(client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	reply, err := client.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	_, err = io.Copy(io.Discard, reply.Body)
	return err
}
