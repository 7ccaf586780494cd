package containerd

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/services/events/v1"
	"github.com/containerd/containerd/api/services/namespaces/v1"
	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

// fake is the part of containerd that the watch uses, behind real gRPC.
type fake struct {
	mu          sync.Mutex
	listener    *bufconn.Listener
	server      *grpc.Server
	records     map[hook.Key]*containers.Container
	running     map[hook.Key]bool
	subscribers map[chan *types.Envelope]struct{}
	deaf        int    // so many publications are lost before a subscription delivers
	broken      bool   // listing containers fails
	onList      func() // called for each listing, without the lock
}

func newFake(t *testing.T) *fake {
	f := &fake{records: map[hook.Key]*containers.Container{}, running: map[hook.Key]bool{}}
	f.start()
	t.Cleanup(f.stop)
	return f
}

func (f *fake) start() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listener = bufconn.Listen(1 << 20)
	f.server = grpc.NewServer()
	f.subscribers = map[chan *types.Envelope]struct{}{}
	events.RegisterEventsServer(f.server, fakeEvents{fake: f})
	containers.RegisterContainersServer(f.server, fakeContainers{fake: f})
	namespaces.RegisterNamespacesServer(f.server, fakeNamespaces{fake: f})
	tasks.RegisterTasksServer(f.server, fakeTasks{fake: f})
	go func(s *grpc.Server, l net.Listener) { _ = s.Serve(l) }(f.server, f.listener)
}

func (f *fake) stop() {
	f.mu.Lock()
	server := f.server
	f.mu.Unlock()
	server.Stop()
}

func (f *fake) dial(string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:fake", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			f.mu.Lock()
			l := f.listener
			f.mu.Unlock()
			return l.DialContext(ctx)
		}))
}

// put makes a container with a config.json for a spec.
func (f *fake) put(k hook.Key, config string, labels map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records[k] = &containers.Container{
		ID: k.ID, Image: "docker.io/library/web:1", Labels: labels, SnapshotKey: "s-" + k.ID,
		Spec: &anypb.Any{TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Spec", Value: []byte(config)},
	}
}

func (f *fake) spec(k hook.Key) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return string(f.records[k].GetSpec().GetValue())
}

func (f *fake) run(k hook.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running[k] = true
}

func (f *fake) remove(k hook.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.records, k)
}

func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// send gives an event to all that subscribed.
func (f *fake) send(e *types.Envelope) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch := range f.subscribers {
		ch <- e
	}
}

func (f *fake) emit(t *testing.T, k hook.Key, topic string, event proto.Message) {
	t.Helper()
	content, err := anypb.New(event)
	if err != nil {
		t.Fatal(err)
	}
	content.TypeUrl = string(event.ProtoReflect().Descriptor().FullName()) // as containerd spells it
	f.send(&types.Envelope{Namespace: k.Namespace, Topic: topic, Event: content})
}

func namespaceOf(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get("containerd-namespace"); len(v) > 0 {
		return v[0]
	}
	return ""
}

type fakeEvents struct {
	events.UnimplementedEventsServer
	*fake
}

func (f fakeEvents) Subscribe(_ *events.SubscribeRequest, stream events.Events_SubscribeServer) error {
	ch := make(chan *types.Envelope, 1000)
	f.set(func(f *fake) { f.subscribers[ch] = struct{}{} })
	defer f.set(func(f *fake) { delete(f.subscribers, ch) })
	for {
		select {
		case e := <-ch:
			if err := stream.Send(e); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (f fakeEvents) Publish(ctx context.Context, r *events.PublishRequest) (*emptypb.Empty, error) {
	deaf := false
	f.set(func(f *fake) {
		if deaf = f.deaf > 0; deaf {
			f.deaf--
		}
	})
	if !deaf {
		f.send(&types.Envelope{Namespace: namespaceOf(ctx), Topic: r.GetTopic(), Event: r.GetEvent()})
	}
	return &emptypb.Empty{}, nil
}

type fakeNamespaces struct {
	namespaces.UnimplementedNamespacesServer
	*fake
}

func (f fakeNamespaces) List(context.Context, *namespaces.ListNamespacesRequest) (*namespaces.ListNamespacesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for k := range f.records {
		names = append(names, k.Namespace)
	}
	slices.Sort(names)
	answer := &namespaces.ListNamespacesResponse{}
	for _, n := range slices.Compact(names) {
		answer.Namespaces = append(answer.Namespaces, &namespaces.Namespace{Name: n})
	}
	return answer, nil
}

type fakeContainers struct {
	containers.UnimplementedContainersServer
	*fake
}

func (f fakeContainers) ListStream(_ *containers.ListContainersRequest, stream containers.Containers_ListStreamServer) error {
	var broken bool
	var onList func()
	var all []*containers.Container
	f.set(func(f *fake) {
		broken, onList = f.broken, f.onList
		for k, c := range f.records {
			if k.Namespace == namespaceOf(stream.Context()) {
				all = append(all, proto.CloneOf(c))
			}
		}
	})
	if onList != nil {
		onList()
	}
	for _, c := range all {
		if err := stream.Send(&containers.ListContainerMessage{Container: c}); err != nil {
			return err
		}
	}
	if broken {
		return status.Error(codes.Internal, "the disk is broken")
	}
	return nil
}

func (f fakeContainers) Get(ctx context.Context, r *containers.GetContainerRequest) (*containers.GetContainerResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.records[hook.Key{Runtime: Runtime, Namespace: namespaceOf(ctx), ID: r.GetID()}]
	if c == nil {
		return nil, status.Error(codes.NotFound, "no such container")
	}
	return &containers.GetContainerResponse{Container: proto.CloneOf(c)}, nil
}

func (f fakeContainers) Update(ctx context.Context, r *containers.UpdateContainerRequest) (*containers.UpdateContainerResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := hook.Key{Runtime: Runtime, Namespace: namespaceOf(ctx), ID: r.GetContainer().GetID()}
	if f.records[k] == nil {
		return nil, status.Error(codes.NotFound, "no such container")
	}
	if paths := r.GetUpdateMask().GetPaths(); !slices.Equal(paths, []string{"spec"}) {
		return nil, status.Errorf(codes.InvalidArgument, "paths %q", paths)
	}
	f.records[k].Spec = r.GetContainer().GetSpec()
	return &containers.UpdateContainerResponse{Container: proto.CloneOf(f.records[k])}, nil
}

type fakeTasks struct {
	tasks.UnimplementedTasksServer
	*fake
}

func (f fakeTasks) Get(ctx context.Context, r *tasks.GetRequest) (*tasks.GetResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.running[hook.Key{Runtime: Runtime, Namespace: namespaceOf(ctx), ID: r.GetContainerID()}] {
		return nil, status.Error(codes.NotFound, "no running task")
	}
	return &tasks.GetResponse{}, nil
}
