package connector_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

// build builds the programs of this module, once.
var build = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "danube-programs-")
	if err != nil {
		return "", err
	}
	for _, program := range []string{"examples/hello-sink", "examples/orders-sink", "examples/counter-source",
		"examples/spool-source", "conformance/sink", "conformance/source"} {
		command := exec.Command("go", "build", "-o", filepath.Join(folder, filepath.Base(program)), "./"+program)
		if output, err := command.CombinedOutput(); err != nil {
			return folder, fmt.Errorf("%s: %w: %s", program, err, output)
		}
	}
	return folder, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if folder, _ := build(); folder != "" {
		_ = os.RemoveAll(folder)
	}
	os.Exit(code)
}

// program is one that runs as a process.
type program struct {
	command *exec.Cmd
	output  bytes.Buffer
	ended   chan error
}

func startProgram(t *testing.T, name, address string, environment ...string) *program {
	t.Helper()
	folder, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{command: exec.Command(filepath.Join(folder, name)), ended: make(chan error, 1)}
	p.command.Env = append(os.Environ(), append(environment, "DANUBE_SIDECAR_ADDRESS="+address)...)
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.command.Wait() }()
	t.Cleanup(func() { _ = p.command.Process.Kill() })
	return p
}

// signal sends a signal, where the process still runs.
func (p *program) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// endsWell waits for the end of the process, and gives what it wrote.
func (p *program) endsWell(t *testing.T) string {
	t.Helper()
	if err := receive(t, p.ended); err != nil {
		t.Fatalf("%v: %s", err, &p.output)
	}
	return p.output.String()
}

func TestTheExampleOfASinkPrintsItsRecords(t *testing.T) {
	sidecar := newSidecar(t)
	program := startProgram(t, "hello-sink", sidecar.address)
	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "hello, Danube"))
	isList(t, outcomes(t, session, 1), "1 WRITTEN")
	program.signal(t, syscall.SIGTERM)
	if frame := session.next(t); frame.GetDrained() == nil {
		t.Fatalf("expected drained, got %v", frame)
	}
	session.end <- nil

	if output := program.endsWell(t); !strings.Contains(output, offer(1, "").GetDedupId()+" hello, Danube") {
		t.Fatalf("it wrote: %s", output)
	}
}

func TestTheExampleOfASourceGoesOnWhereItWas(t *testing.T) {
	sidecar := newSidecar(t)
	program := startProgram(t, "counter-source", sidecar.address)
	session := sidecar.openedSource(t, &pb.Position{SourcePartition: "numbers", Offset: 998})
	demand(t, session, 10)
	takes(t, session, 1, "number 999", "number 1000")
	saysDrained(t, session)
	committed(t, session, 2)
	session.hangsUp(t)
	session.end <- nil

	program.endsWell(t)
}

func TestASecondSignalEndsTheProcessAtOnce(t *testing.T) {
	sidecar := newSidecar(t)
	file := filepath.Join(t.TempDir(), "journal")
	program := startProgram(t, "sink", sidecar.address, "CONFORMANCE_FILE="+file, "CONFORMANCE_MODE=single")
	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "first"), offer(2, "slow 60000"))
	isList(t, outcomes(t, session, 1), "1 WRITTEN")
	program.signal(t, syscall.SIGTERM)
	var exit *exec.ExitError
	for {
		// When the first one has been taken cannot be seen from here.
		program.signal(t, syscall.SIGTERM)
		select {
		case err := <-program.ended:
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Fatalf("unexpected: %v", err)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func TestTheConformanceSinkDoesWhatItIsTold(t *testing.T) {
	for _, mode := range []string{"batch", "single"} {
		t.Run(mode, func(t *testing.T) {
			sidecar := newSidecar(t)
			file := filepath.Join(t.TempDir(), "journal")
			program := startProgram(t, "sink", sidecar.address, "CONFORMANCE_FILE="+file, "CONFORMANCE_MODE="+mode)
			session, _ := sidecar.sink(t)
			sinkOpened(t, session, `{"conformance": {"word": "hello"}}`)
			sendBatch(t, session, offer(1, "reject"), offer(2, "retry"), offer(3, "retry-after 20"), offer(4, "filter"), offer(5, "slow 1"))
			isList(t, outcomes(t, session, 5), "1 REJECT TOLD_TO", "2 RETRY TOLD_TO", "3 RETRY TOLD_TO", "4 FILTERED TOLD_TO", "5 WRITTEN")
			sendBatch(t, session, offer(6, "error"), again(7, offer(2, "retry")))
			throws := map[string]string{"batch": "7 RETRY EXCEPTION", "single": "7 WRITTEN"}
			isList(t, outcomes(t, session, 2), "6 RETRY EXCEPTION", throws[mode])
			if err := os.WriteFile(file+".sick", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			sendProbe(t, session, 1)
			if health := session.next(t).GetHealth(); health.GetMessage() != "told to be" {
				t.Fatalf("unexpected: %v", health)
			}
			program.signal(t, os.Interrupt)
			session.next(t)
			session.end <- nil

			program.endsWell(t)
			written := func(id uint64, attempt int) string {
				return fmt.Sprintf("written %s %d -", offer(id, "").GetDedupId(), attempt)
			}
			expected := []string{"opened hello", written(5, 1), written(2, 2), "closed"}
			if mode == "batch" {
				expected = slices.Delete(expected, 2, 3)
			}
			isList(t, lines(t, file), expected...)
		})
	}
}

func TestTheConformanceSourceNumbersItsRecords(t *testing.T) {
	for _, mode := range []string{"poll", "push"} {
		t.Run(mode, func(t *testing.T) {
			sidecar := newSidecar(t)
			file := filepath.Join(t.TempDir(), "journal")
			program := startProgram(t, "source", sidecar.address,
				"CONFORMANCE_FILE="+file, "CONFORMANCE_MODE="+mode, "CONFORMANCE_END=1")
			session, _ := sidecar.source(t)
			opened := &pb.SourceOpened{
				SettingsJson: `{"conformance": {"records": 5, "size": 12}}`,
				Positions:    []*pb.Position{{SourcePartition: "numbers", Offset: 2}},
			}
			session.send(t, &pb.SourceServiceRunResponse{Frame: &pb.SourceServiceRunResponse_Opened{Opened: opened}})
			demand(t, session, 100)
			takes(t, session, 1, "record 3xxxx", "record 4xxxx", "record 5xxxx")
			saysDrained(t, session)
			committed(t, session, 1)
			rejected(t, session, 2)
			committed(t, session, 3)
			session.hangsUp(t)
			session.end <- nil

			program.endsWell(t)
			isList(t, lines(t, file), "restored 2", "committed 3", "rejected 4 TOO_LARGE", "committed 4", "committed 5", "closed")
		})
	}
}

var readmeBlock = regexp.MustCompile(`(?s)<!-- file: (\S+) -->\n` + "```go\n(.*?)```\n")

func TestTheReadmeShowsProgramsThatAreTested(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := readmeBlock.FindAllStringSubmatch(string(readme), -1)
	if len(blocks) != strings.Count(string(readme), "```go\n") || len(blocks) == 0 {
		t.Fatal("README.md has Go code that is no file's: put `<!-- file: PATH -->` before it")
	}
	for _, block := range blocks {
		file, err := os.ReadFile(block[1])
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(file), block[2]) {
			t.Errorf("README.md shows code that is not in %s", block[1])
		}
	}
}
