package main

import (
	"errors"
	"io"
)

const (
	// How much of a file's beginning is in its mark, and how much of what stands before the offset.
	headBytes = 1024
	tailBytes = 256
	// What a hash begins with (FNV-1a), and what each byte multiplies it by.
	hashBasis uint64 = 14695981039346656037
	hashPrime uint64 = 1099511628211
)

// mark says how far a file has been read, and is its fingerprint: whether a file begins with what was read can be seen
// without reading all of it again. The zero value is the beginning of any file.
type mark struct {
	offset int64
	// Hashes of the first bytes, as far as they were read, and of the last ones before the offset.
	head, tail uint64
	// Whether an operator has set the offset, who knows nothing of hashes.
	unchecked bool
}

// hash goes on with a hash: begin with hashBasis.
func hash(state uint64, text []byte) uint64 {
	for _, b := range text {
		state = (state ^ uint64(b)) * hashPrime
	}
	return state
}

// advance goes on behind a record, which ends where the text does that was read so far.
func (m *mark) advance(record, text []byte) {
	if m.offset == 0 {
		m.head = hashBasis
	}
	if left := headBytes - m.offset; left > 0 {
		m.head = hash(m.head, record[:min(left, int64(len(record)))])
	}
	m.offset += int64(len(record))
	m.tail = hash(hashBasis, text[int64(len(text))-min(tailBytes, m.offset):])
}

// markAt is the mark of a file that was read up to an offset.
func markAt(file io.ReaderAt, offset int64) (mark, error) {
	if offset == 0 {
		return mark{}, nil
	}
	head, err := readWhole(file, 0, min(headBytes, offset))
	if err != nil {
		return mark{}, err
	}
	tail, err := readWhole(file, offset-min(tailBytes, offset), min(tailBytes, offset))
	if err != nil {
		return mark{}, err
	}
	return mark{offset: offset, head: hash(hashBasis, head), tail: hash(hashBasis, tail)}, nil
}

// matches tells whether a file begins with what was read: whether it is the same one, grown, or a copy.
func (m mark) matches(file io.ReaderAt) (bool, error) {
	if m.unchecked {
		_, err := readWhole(file, m.offset-min(1, m.offset), min(1, m.offset))
		return err == nil, ignoreEnd(err)
	}
	found, err := markAt(file, m.offset)
	return err == nil && found == m, ignoreEnd(err)
}

// readWhole reads so many bytes, or fails with io.EOF where the file ends before.
func readWhole(file io.ReaderAt, offset, bytes int64) ([]byte, error) {
	text := make([]byte, bytes)
	n, err := file.ReadAt(text, offset)
	if int64(n) == bytes {
		return text, nil
	}
	return nil, err
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
