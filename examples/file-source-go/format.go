package main

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// format knows where a file's records end, and what message a record is.
type format interface {
	// end is where the first record of a text ends, behind its line end; -1 where that is not there yet.
	end(text []byte) int
	// wantsHeader tells whether a file's first record has to be given to header before others are decoded.
	wantsHeader() bool
	header(record []byte)
	// decode gives a record's message, and its routing key or nil. No message: there is nothing to publish.
	decode(record []byte) (message []byte, key *string)
}

func (s settings) newFormat() format {
	if s.Format == "csv" {
		return &table{delimiter: s.Delimiter[0], keyColumn: s.KeyColumn}
	}
	return lines{keyField: s.KeyField}
}

// lines are messages as they stand, without their line ends.
type lines struct {
	keyField string
}

func (lines) end(text []byte) int {
	if found := bytes.IndexByte(text, '\n'); found >= 0 {
		return found + 1
	}
	return -1
}

func (lines) wantsHeader() bool { return false }

func (lines) header([]byte) {}

func (l lines) decode(record []byte) ([]byte, *string) {
	line := bytes.TrimSuffix(bytes.TrimSuffix(record, []byte("\n")), []byte("\r"))
	if l.keyField == "" || len(line) == 0 {
		return bytes.Clone(line), nil
	}
	return bytes.Clone(line), jsonKey(line, l.keyField)
}

// jsonKey is the value of a field of a line, if the line is a JSON object and has it.
func jsonKey(line []byte, field string) *string {
	var object map[string]json.RawMessage
	if json.Unmarshal(line, &object) != nil {
		return nil
	}
	value, ok := object[field]
	if !ok || string(value) == "null" {
		return nil
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		text = string(value) // A number, say, as it is written.
	}
	return &text
}

// table is CSV as RFC 4180 has it, read leniently: a quote inside of a field is a quote.
type table struct {
	delimiter byte
	keyColumn string
	columns   []string
}

func (t *table) end(text []byte) int {
	_, end := t.split(text)
	return end
}

func (t *table) wantsHeader() bool { return t.columns == nil }

// header takes the names of the columns. One without a name of its own is called by its number.
func (t *table) header(record []byte) {
	names, _ := t.split(bytes.TrimPrefix(record, []byte("\xEF\xBB\xBF")))
	taken := map[string]bool{}
	t.columns = make([]string, len(names))
	for i, name := range names {
		if name == "" || taken[name] {
			name = numbered(i)
		}
		taken[name] = true
		t.columns[i] = name
	}
}

func numbered(index int) string {
	return "column" + strconv.Itoa(index+1)
}

// decode makes a JSON object of a record, in the order of the columns. Fields that are missing are left out.
func (t *table) decode(record []byte) ([]byte, *string) {
	if len(bytes.TrimRight(record, "\r\n")) == 0 {
		return nil, nil
	}
	fields, _ := t.split(record)
	var key *string
	object := []byte("{")
	for i, field := range fields {
		name := numbered(i)
		if i < len(t.columns) {
			name = t.columns[i]
		}
		if i > 0 {
			object = append(object, ',')
		}
		object = append(appendJSON(object, name), ':')
		object = appendJSON(object, field)
		if name == t.keyColumn {
			valid := strings.ToValidUTF8(field, "\uFFFD")
			key = &valid
		}
	}
	return append(object, '}'), key
}

// appendJSON appends a JSON string, with nothing escaped that need not be.
func appendJSON(to []byte, text string) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // A string can always be encoded.
	return append(to, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}

// split gives the fields of the first record, and where it ends; -1 where its end is not there yet.
func (t *table) split(text []byte) (fields []string, end int) {
	at := 0
	for {
		field, next := t.field(text[at:])
		if next < 0 {
			return nil, -1
		}
		fields = append(fields, field)
		at += next
		if text[at-1] == '\n' {
			return fields, at
		}
	}
}

// field gives the first field, and where the next one begins; -1 where its end is not there yet.
func (t *table) field(text []byte) (field string, next int) {
	if len(text) > 0 && text[0] == '"' {
		return t.quoted(text)
	}
	end := bytes.IndexAny(text, string(t.delimiter)+"\n")
	if end < 0 {
		return "", -1
	}
	field = string(text[:end])
	if text[end] == '\n' {
		field = strings.TrimSuffix(field, "\r")
	}
	return field, end + 1
}

// quoted is a field in quotes: it ends with a quote that stands before a delimiter or a line end.
func (t *table) quoted(text []byte) (field string, next int) {
	var out strings.Builder
	for i := 1; i < len(text); i++ {
		rest := text[i+1:]
		switch {
		case text[i] != '"':
			out.WriteByte(text[i])
		case bytes.HasPrefix(rest, []byte(`"`)):
			out.WriteByte('"')
			i++
		case len(rest) > 0 && (rest[0] == t.delimiter || rest[0] == '\n'):
			return out.String(), i + 2
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return out.String(), i + 3
		default:
			out.WriteByte('"')
		}
	}
	return "", -1
}
