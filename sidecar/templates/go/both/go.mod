module {{name}}

go 1.25.0

require github.com/danube-messaging/danube-sidecar/sdk-go v{{version}}

require (
	golang.org/x/net v0.53.0 // indirect
	golang.org/x/sys v0.43.0 // indirect
	golang.org/x/text v0.36.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260414002931-afd174a4e478 // indirect
	google.golang.org/grpc v1.82.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

// Once the SDK is published: remove this line, and `go get github.com/danube-messaging/danube-sidecar/sdk-go`.
replace github.com/danube-messaging/danube-sidecar/sdk-go => {{sdk}}
