package main

import (
	"strings"
	"testing"
)

func csvDriver(t *testing.T, settings map[string]any) *driver {
	all := map[string]any{"format": "csv"}
	for name, value := range settings {
		all[name] = value
	}
	return newDriver(t, all)
}

func TestCSVRecordsAreJSONObjects(t *testing.T) {
	d := csvDriver(t, map[string]any{"key_column": "id"})
	d.write("a.log", "id,text\r\n1,plain\r\n2,\"quoted, with a \"\"quote\"\" and\nline ends\r\n\"\r\n\r\n3,5\" pipe <b>\r\n")

	records := d.reads(
		`{"id":"1","text":"plain"}`,
		`{"id":"2","text":"quoted, with a \"quote\" and\nline ends\r\n"}`,
		`{"id":"3","text":"5\" pipe <b>"}`,
	)
	if key := records[1].Key; key == nil || *key != "2" {
		t.Fatalf("the key is %v", key)
	}
}

func TestARecordWhoseQuoteIsOpenWaits(t *testing.T) {
	d := csvDriver(t, nil)
	d.write("a.log", "id,text\n1,\"begun\n")
	d.reads()
	d.write("a.log", "and ended\"\n2,next\n")

	d.reads(`{"id":"1","text":"begun\nand ended"}`, `{"id":"2","text":"next"}`)
}

func TestColumnsMayBeMissingUnnamedOrTooMany(t *testing.T) {
	d := csvDriver(t, map[string]any{"delimiter": ";"})
	d.write("a.log", "\uFEFFid;;id\n1\n1;2;3;4\n")

	d.reads(`{"id":"1"}`, `{"id":"1","column2":"2","column3":"3","column4":"4"}`)
}

func TestTheHeaderIsReadAgainAfterARestartAndInEachFile(t *testing.T) {
	d := csvDriver(t, nil)
	d.write("a.log", "id,name\n1,one\n")
	d.reads(`{"id":"1","name":"one"}`)
	d.stop()
	d.write("a.log", "2,two\n")
	d.rename("a.log", "a.log.1")
	d.write("a.log", "name,size\nthree,3\n")
	d.restart()

	d.reads(`{"id":"2","name":"two"}`, `{"name":"three","size":"3"}`)
}

func TestARecordThatIsTooLongLosesItsFirstLine(t *testing.T) {
	d := csvDriver(t, map[string]any{"max_line_bytes": 40})
	d.write("a.log", "id,text\n1,\"a quote that is never closed\n2,fine\n3,"+strings.Repeat("x", 50)+"\n4,fine\n")

	d.reads(`{"id":"2","text":"fine"}`, `{"id":"4","text":"fine"}`)
}

func TestAMessageThatIsTooLongIsSkipped(t *testing.T) {
	d := csvDriver(t, map[string]any{"max_line_bytes": 40})
	d.write("a.log", "a_very_long_name,another\n1,this is far too much\n2,\n")

	d.reads(`{"a_very_long_name":"2","another":""}`)
	if d.source.files.skipped != 1 {
		t.Fatalf("skipped: %d", d.source.files.skipped)
	}
}
