package containerd

import (
	"testing"

	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/types/known/anypb"
)

func FuzzEvents(f *testing.F) {
	f.Add("default", topicCreate, "containerd.events.ContainerCreate", []byte{0x0a, 0x01, 'a'})
	f.Add("default", topicDelete, "type.googleapis.com/containerd.events.ContainerDelete", []byte{0x0a, 0x01, 'a'})
	f.Add("default", topicTaskCreate, "containerd.events.TaskCreate", []byte{0x0a, 0x01, 'a', 0x12, 0x02, '/', 'b'})
	f.Fuzz(func(t *testing.T, namespace, topic, url string, value []byte) {
		e, err := decode(&types.Envelope{Namespace: namespace, Topic: topic, Event: &anypb.Any{TypeUrl: url, Value: value}})
		if err == nil && e.kind != other && (e.container == "" || namespace == "") {
			t.Errorf("%+v names no container", e)
		}
	})
}
