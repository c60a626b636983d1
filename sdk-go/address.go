package connector

import (
	"fmt"
	"net/url"
	"strings"
)

// address says where a sidecar listens.
type address struct {
	// "tcp" or "unix".
	network string
	// "host:port", or the path of a socket.
	target string
}

// parseAddress reads http://HOST:PORT, unix:///PATH or unix:/PATH.
func parseAddress(text string) (address, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if !strings.HasPrefix(path, "/") {
			return address{}, malformed(text)
		}
		return address{network: "unix", target: path}, nil
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "http" || parsed.Hostname() == "" || parsed.Port() == "" {
		return address{}, malformed(text)
	}
	if bare := (url.URL{Scheme: "http", Host: parsed.Host}); strings.TrimSuffix(text, "/") != bare.String() {
		return address{}, malformed(text)
	}
	return address{network: "tcp", target: parsed.Host}, nil
}

func malformed(text string) error {
	return fmt.Errorf("connector: the sidecar's address is %q: expected http://HOST:PORT or unix:///PATH", text)
}

func (a address) String() string {
	if a.network == "unix" {
		return "unix://" + a.target
	}
	return "http://" + a.target
}
