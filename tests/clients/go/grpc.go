package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	health_pb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
)

// callAll serves gRPC at each of the addresses, and calls target ("host:port") with the DNS server's answers until each of
// them has answered. It returns the addresses that answered.
func callAll(server, target string, addresses []string) ([]string, error) {
	for _, address := range addresses {
		stop, err := serve(address)
		if err != nil {
			return nil, err
		}
		defer stop()
	}
	connection, err := grpc.NewClient(
		fmt.Sprintf("dns://%s/%s", server, target),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
	)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return answering(health_pb.NewHealthClient(connection), len(addresses))
}

// answering calls until this many peers have answered.
func answering(client health_pb.HealthClient, count int) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	seen := map[string]bool{}
	for len(seen) < count {
		var who peer.Peer
		_, err := client.Check(ctx, &health_pb.HealthCheckRequest{}, grpc.Peer(&who), grpc.WaitForReady(true))
		if err != nil {
			return nil, fmt.Errorf("%w (answered: %v)", err, seen)
		}
		seen[who.Addr.String()] = true
	}
	var peers []string
	for address := range seen {
		peers = append(peers, address)
	}
	return peers, nil
}

// serve answers health checks at an address until it is stopped.
func serve(address string) (stop func(), err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer()
	health_pb.RegisterHealthServer(server, health.NewServer())
	go func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			panic(err)
		}
	}()
	return server.Stop, nil
}
