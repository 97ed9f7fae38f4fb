// Prints what dubbo-go's Kubernetes registry hands to a consumer, for tests/cluster/register_dubbo.rs to check. All of the code
// is dubbo-go's: its controller finds the Pods by their label and decodes their annotations, and its listener makes URLs and
// compares them with the consumer's. Only the Pods come from a file, and not from a cluster.
package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"sort"
	"strconv"
	"time"

	"github.com/apache/dubbo-go/common"
	"github.com/apache/dubbo-go/common/logger"
	"github.com/apache/dubbo-go/config_center"
	registry "github.com/apache/dubbo-go/registry/kubernetes"
	remoting "github.com/apache/dubbo-go/remoting/kubernetes"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// patience bounds the wait for a provider.
const patience = 10 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run takes a file with a list of Pods, their namespace, a consumer's URL, and how many providers to wait for.
func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("usage: dubbo FILE NAMESPACE CONSUMER-URL COUNT")
	}
	logger.SetLoggerLevel("error")
	consumer, err := common.NewURL(url.QueryEscape(args[2]))
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	client, err := clientOf(args[0], args[1])
	if err != nil {
		return err
	}
	found := make(providers)
	listener := registry.NewRegistryDataListener(found)
	listener.AddInterestedURL(consumer)
	list := func() {
		remoting.NewEventListener(client).ListenServiceEvent("/dubbo/"+consumer.Service()+"/providers", listener)
	}
	lines, err := found.first(count, list)
	for _, line := range lines {
		fmt.Println(line)
	}
	return err
}

// clientOf returns dubbo-go's client in a consumer's Pod, with the Pods of the file.
func clientOf(file, namespace string) (*remoting.Client, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var pods core.PodList
	if err := json.Unmarshal(text, &pods); err != nil {
		return nil, err
	}
	const own = "consumer"
	pods.Items = append(pods.Items, core.Pod{ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: own}})
	for key, value := range map[string]string{"HOSTNAME": own, "NAMESPACE": namespace, "DUBBO_NAMESPACE": namespace} {
		os.Setenv(key, value)
	}
	return remoting.NewMockClient(&pods)
}

// providers receives dubbo-go's notifications.
type providers chan *common.URL

// Process receives one notification of dubbo-go.
func (found providers) Process(event *config_center.ConfigChangeEvent) {
	found <- event.Value.(*common.URL)
}

// first waits for this many different providers, and returns a line for each, sorted. It lists again and again, because
// dubbo-go's listener misses Pods that its controller finds between its list and its watch.
func (found providers) first(count int, list func()) ([]string, error) {
	lines, late, again := map[string]bool{}, time.After(patience), time.Tick(patience/50)
	for len(lines) < count {
		select {
		case one := <-found:
			lines[fmt.Sprintf("%s %s:%s %s %s", one.Protocol, one.Ip, one.Port, one.Service(), one.GetParams().Encode())] = true
		case <-again:
			go list()
		case <-late:
			return sorted(lines), fmt.Errorf("%d of %d providers within %v", len(lines), count, patience)
		}
	}
	return sorted(lines), nil
}

func sorted(lines map[string]bool) []string {
	var list []string
	for line := range lines {
		list = append(list, line)
	}
	sort.Strings(list)
	return list
}
