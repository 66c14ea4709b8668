package wire_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
)

// readXML reads a document as JSON would have it: elements are members, those
// called member make a list, and what has no elements is text.
func readXML(b []byte) (any, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		if start, ok := t.(xml.StartElement); ok {
			v, err := readElement(d)
			if err != nil {
				return nil, err
			}
			if _, err := d.Token(); err != io.EOF {
				return nil, &xml.SyntaxError{Msg: "something follows the document"}
			}
			return map[string]any{start.Name.Local: v}, nil
		}
	}
}

func readElement(d *xml.Decoder) (any, error) {
	var (
		text    strings.Builder
		list    []any
		members map[string]any
	)
	for {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.StartElement:
			v, err := readElement(d)
			if err != nil {
				return nil, err
			}
			if t.Name.Local == "member" {
				list = append(list, v)
				continue
			}
			if members == nil {
				members = map[string]any{}
			}
			members[t.Name.Local] = v
		case xml.EndElement:
			switch {
			case list != nil:
				return list, nil
			case members != nil:
				return members, nil
			}
			return text.String(), nil
		}
	}
}
