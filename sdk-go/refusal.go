package connector

import (
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// RefusedError ends a run: the sidecar refuses the connector, and will again until something is
// changed.
type RefusedError struct {
	// Code is the status code: INVALID_ARGUMENT, FAILED_PRECONDITION, PERMISSION_DENIED,
	// UNAUTHENTICATED, and for sources ABORTED, when another process has taken over.
	Code codes.Code
	// Reason is the constant that names what the sidecar objects to; may be empty.
	Reason string
	// Message says what was wrong and what was expected.
	Message string
}

// Error names the code, the reason and the message.
func (e *RefusedError) Error() string {
	what := code.Code(e.Code).String()
	if e.Reason != "" {
		what += ", " + e.Reason
	}
	if e.Code == codes.Aborted {
		return fmt.Sprintf("connector: another process of this source has taken over (%s): %s; "+
			"let only one run, or give each a name of its own", what, e.Message)
	}
	return fmt.Sprintf("connector: the sidecar refuses this connector (%s): %s", what, e.Message)
}

// lostError says why there is no session any more; another try may have one.
type lostError struct {
	cause error
	// How long the sidecar asks to wait.
	retryAfter time.Duration
	// Whether the session was ended in good order.
	orderly bool
}

func (e *lostError) Error() string {
	return e.cause.Error()
}

func (e *lostError) Unwrap() error {
	return e.cause
}

// lost is a lostError with nothing but a text.
func lost(format string, arguments ...any) error {
	return &lostError{cause: fmt.Errorf(format, arguments...)}
}

// meaning says what the error of a stream means: a *RefusedError or a *lostError.
func meaning(err error, isSource bool) error {
	if err == nil || errors.Is(err, io.EOF) {
		return &lostError{cause: errors.New("the sidecar ended the session"), orderly: true}
	}
	answer, ok := status.FromError(err)
	if !ok {
		return &lostError{cause: err}
	}
	reason, retryAfter := details(answer)
	switch answer.Code() {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.PermissionDenied, codes.Unauthenticated:
		return &RefusedError{Code: answer.Code(), Reason: reason, Message: answer.Message()}
	case codes.Aborted:
		if isSource {
			return &RefusedError{Code: answer.Code(), Reason: reason, Message: answer.Message()}
		}
	}
	return &lostError{
		cause:      fmt.Errorf("%s: %s", code.Code(answer.Code()), answer.Message()),
		retryAfter: retryAfter,
	}
}

func details(answer *status.Status) (reason string, retryAfter time.Duration) {
	for _, detail := range answer.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.GetReason()
		case *errdetails.RetryInfo:
			retryAfter = detail.GetRetryDelay().AsDuration()
		}
	}
	return reason, retryAfter
}
