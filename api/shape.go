package api

import (
	"encoding/xml"
	"strconv"
	"time"
)

// A Stamp is a time as the XML protocols write it: 2024-01-02T03:04:05Z.
type Stamp time.Time

// MarshalText writes s for XML.
func (s Stamp) MarshalText() ([]byte, error) {
	return []byte(time.Time(s).UTC().Format("2006-01-02T15:04:05Z")), nil
}

// A MilliStamp is a time as S3's XML has it: 2024-01-02T03:04:05.000Z.
type MilliStamp time.Time

// MarshalText writes s for XML.
func (s MilliStamp) MarshalText() ([]byte, error) {
	return []byte(time.Time(s).UTC().Format("2006-01-02T15:04:05.000Z")), nil
}

// An Epoch is a time as the JSON protocols write it: a number of seconds since
// 1970, with milliseconds as its fraction. SDKs refuse a string.
type Epoch time.Time

// MarshalJSON writes e as a number.
func (e Epoch) MarshalJSON() ([]byte, error) {
	ms := time.Time(e).UnixMilli()
	if ms%1000 == 0 {
		return strconv.AppendInt(nil, ms/1000, 10), nil
	}
	return strconv.AppendFloat(nil, float64(ms)/1000, 'f', 3, 64), nil
}

var _ xml.Marshaler = (*members[int])(nil)

// members is a list as the query protocol writes it: <member> elements.
type members[T any] []T

// MarshalXML writes an element that is there even when the list is empty.
func (m members[T]) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	for _, v := range m {
		if err := e.EncodeElement(v, xml.StartElement{Name: xml.Name{Local: "member"}}); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}
