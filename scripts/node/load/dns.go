package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// One endpoint of an answer, and until when the answer is valid.
type endpoint struct {
	address netip.AddrPort
	ttl     time.Duration
}

// Asks once, over a new socket.
func askOnce(server, name string) error {
	_, err := endpoints(server, name)
	return err
}

// Returns the endpoints of an SRV name, or an error if there are none.
func endpoints(server, name string) ([]endpoint, error) {
	conn, err := net.Dial("udp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	id := uint16(rand.Uint32())
	if _, err := conn.Write(query(id, name)); err != nil {
		return nil, err
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, err
		}
		var reply dnsmessage.Message
		if err := reply.Unpack(buffer[:n]); err != nil {
			return nil, err
		}
		if reply.ID == id {
			return read(&reply)
		}
	}
}

// Asks over one socket for ever, as CoreDNS's `forward` does, and matches replies by their id.
//
// kube-proxy removes a flow from a Pod by deleting its entry in the kernel's table of connections. The reply to a query in
// flight then comes from an address that the socket does not know, and is lost, whatever the Pod does. So this sends a query
// again, once and soon. If the flow still leads to a Pod that has ended, the second query is lost too.
func askOnOneSocket(count *tally, server, name string) {
	conn, err := net.Dial("udp", server)
	if err != nil {
		count.note(err)
		return
	}
	var lock sync.Mutex
	waiting := map[uint16]bool{}
	isWaiting := func(id uint16) bool {
		lock.Lock()
		defer lock.Unlock()
		return waiting[id]
	}
	settle := func(id uint16, err error) {
		lock.Lock()
		known := waiting[id]
		delete(waiting, id)
		lock.Unlock()
		if known {
			count.note(err)
		}
	}
	go every(keptEvery, func() {
		id := uint16(rand.Uint32())
		lock.Lock()
		waiting[id] = true
		lock.Unlock()
		conn.Write(query(id, name)) // an error of a write concerns an earlier query
		time.AfterFunc(againAfter, func() {
			if isWaiting(id) {
				conn.Write(query(id, name))
			}
		})
		time.AfterFunc(patience, func() { settle(id, errors.New("no reply")) })
	})
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			continue // its timer counts a refused query as lost
		}
		var reply dnsmessage.Message
		if reply.Unpack(buffer[:n]) == nil {
			_, err := read(&reply)
			settle(reply.ID, err)
		}
	}
}

// Returns an SRV query with EDNS.
func query(id uint16, name string) []byte {
	builder := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	var opt dnsmessage.ResourceHeader
	steps := []error{
		builder.StartQuestions(),
		builder.Question(dnsmessage.Question{
			Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeSRV, Class: dnsmessage.ClassINET}),
		builder.StartAdditionals(),
		opt.SetEDNS0(1232, dnsmessage.RCodeSuccess, false),
		builder.OPTResource(opt, dnsmessage.OPTResource{}),
	}
	message, err := builder.Finish()
	if err := errors.Join(append(steps, err)...); err != nil {
		panic(err)
	}
	return message
}

// Returns the endpoints of a reply: each SRV record with the first address of its target in the reply.
func read(reply *dnsmessage.Message) ([]endpoint, error) {
	names.tried.Add(1)
	if reply.RCode == dnsmessage.RCodeNameError {
		names.lost.Add(1)
	}
	addresses := map[string]netip.Addr{}
	for _, record := range reply.Additionals {
		owner := record.Header.Name.String()
		if _, known := addresses[owner]; known {
			continue
		}
		switch body := record.Body.(type) {
		case *dnsmessage.AResource:
			addresses[owner] = netip.AddrFrom4(body.A)
		case *dnsmessage.AAAAResource:
			addresses[owner] = netip.AddrFrom16(body.AAAA)
		}
	}
	var found []endpoint
	for _, record := range reply.Answers {
		srv, ok := record.Body.(*dnsmessage.SRVResource)
		if !ok {
			continue
		}
		if address, known := addresses[srv.Target.String()]; known {
			ttl := time.Duration(record.Header.TTL) * time.Second
			found = append(found, endpoint{netip.AddrPortFrom(address, srv.Port), ttl})
		}
	}
	if reply.RCode != dnsmessage.RCodeSuccess || len(found) == 0 {
		return nil, fmt.Errorf("%v with %d endpoints", reply.RCode, len(found))
	}
	return found, nil
}
