package connector

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// connectTimeout bounds the way to an open stream.
const connectTimeout = 5 * time.Second

// sidecar is the sidecar, seen from a connector.
type sidecar struct {
	address address
	token   string
}

// newSidecar takes from the environment what the options leave open.
func newSidecar(options RuntimeOptions) (*sidecar, error) {
	text := options.Address
	if text == "" {
		text = os.Getenv(addressVariable)
	}
	if text == "" {
		text = defaultAddress
	}
	address, err := parseAddress(text)
	if err != nil {
		return nil, err
	}
	token := options.Token
	if token == "" {
		token = os.Getenv(tokenVariable)
	}
	if !fitsHeader(token) {
		return nil, errors.New("connector: " + tokenVariable + " has characters that no header may have")
	}
	return &sidecar{address: address, token: token}, nil
}

func fitsHeader(text string) bool {
	for _, char := range []byte(text) {
		if char < ' ' || char > '~' {
			return false
		}
	}
	return true
}

// connect prepares a connection of its own for a session: the pace of dialling is ours, not
// gRPC's. HTTP/2 keepalive is the server's business.
func (s *sidecar) connect() (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///sidecar",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(s.dial),
		// What the sidecar's HTTP/2 library accepts on Unix sockets too.
		grpc.WithAuthority("localhost"),
		grpc.WithDisableServiceConfig(),
		grpc.WithUserAgent(sdkName),
	)
}

func (s *sidecar) dial(ctx context.Context, _ string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: connectTimeout}
	return dialer.DialContext(ctx, s.address.network, s.address.target)
}

// authorized adds the token to a call.
func (s *sidecar) authorized(ctx context.Context) context.Context {
	if s.token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.token)
}
