package power

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// StraceArgs make strace write what ReadTrace reads: threads, too; paths and
// socket addresses of descriptors; strings in hex and whole; numbers instead of
// names of flags; only the calls that change files or answer clients.
func StraceArgs(output string) []string {
	return []string{"-f", "--seccomp-bpf", "-qq", "-yy", "-xx", "-X", "raw", "-s", "67108864", "-e", "signal=none", "-o", output,
		"-e", "trace=open,openat,openat2,creat,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendfile,splice," +
			"copy_file_range,fsync,fdatasync,sync,syncfs,sync_file_range,msync,mmap,truncate,ftruncate,fallocate,lseek," +
			"rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,io_uring_setup"}
}

// Never is the moment of what had not happened when the trace ended.
const Never = math.MaxInt

// A Call is one system call. Enter and Exit count the lines of the trace: at
// Enter it had not begun, at Exit it had ended. Exit is Never when the trace
// ends first.
type Call struct {
	Enter, Exit int
	Name        string
	Args        []string // as strace wrote them
	Result      int64    // negative for a failure; 0 when Exit is Never
}

// ReadTrace calls fn for each call of a trace in the order of Exit; those that
// never ended come last. A line that cannot be read is an error: a trace with a
// hole proves nothing.
func ReadTrace(r io.Reader, fn func(Call) error) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	begun := map[string]started{} // by thread
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // what strace was about to write when it ended is not counted
		}
		if err != nil {
			return err
		}
		if err := readLine(n, strings.TrimSuffix(line, "\n"), begun, fn); err != nil {
			return fmt.Errorf("line %d of the trace: %w", n, err)
		}
	}
	for _, s := range begun {
		c, err := parseCall(s.text+")", s.line, Never)
		if err == nil {
			err = fn(c)
		}
		if err != nil {
			return fmt.Errorf("line %d of the trace: %w", s.line, err)
		}
	}
	return nil
}

// A started call is one that another thread's line cut into.
type started struct {
	line int
	text string
}

const (
	unfinished = " <unfinished ...>"
	resumed    = " resumed>"
	// detached ends the line of a thread that was killed while strace had it
	// stopped in a call. Whether the call was made is not known.
	detached = " <detached ...>"
)

func readLine(n int, line string, begun map[string]started, fn func(Call) error) error {
	thread, text, ok := strings.Cut(line, " ")
	if !ok {
		return errors.New("there is no thread")
	}
	text = strings.TrimLeft(text, " ")
	if strings.HasPrefix(text, "---") || strings.HasPrefix(text, "+++") {
		return nil // signals and ends of threads
	}
	if head, ok := strings.CutSuffix(text, unfinished); ok {
		if _, twice := begun[thread]; twice {
			return errors.New("a thread is in two calls")
		}
		begun[thread] = started{n, head}
		return nil
	}
	enter := n
	if strings.HasPrefix(text, "<... ") {
		_, tail, ok := strings.Cut(text, resumed)
		s, open := begun[thread]
		if !ok || !open {
			return errors.New("a call goes on that never began")
		}
		delete(begun, thread)
		enter, text = s.line, s.text+tail
	}
	if head, ok := strings.CutSuffix(text, detached); ok {
		if _, twice := begun[thread]; twice {
			return errors.New("a thread is in two calls")
		}
		begun[thread] = started{enter, head} // and never goes on
		return nil
	}
	end := strings.LastIndex(text, " = ")
	if end < 0 {
		return errors.New("there is no result")
	}
	head, result := strings.TrimRight(text[:end], " "), text[end+3:]
	if strings.HasPrefix(result, "?") { // the thread was killed in the call
		c, err := parseCall(head, enter, Never)
		if err != nil {
			return err
		}
		return fn(c)
	}
	c, err := parseCall(head, enter, n)
	if err != nil {
		return err
	}
	if c.Result, err = number(result); err != nil {
		return err
	}
	return fn(c)
}

func parseCall(text string, enter, exit int) (Call, error) {
	name, rest, ok := strings.Cut(text, "(")
	rest, closed := strings.CutSuffix(rest, ")")
	if !ok || !closed || name == "" {
		return Call{}, errors.New("this is no call")
	}
	args, err := split(rest)
	return Call{Enter: enter, Exit: exit, Name: name, Args: args}, err
}

// split cuts at commas outside of quotes, brackets and descriptors' names.
func split(s string) (out []string, err error) {
	depth, from := 0, 0
	quoted, named := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted:
			quoted = c != '"'
		case c == '"':
			quoted = true
		case named:
			named = c != '>' || s[i-1] == '-' // TCP:[from->to]
		case c == '<':
			named = true
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 0:
			out = append(out, strings.TrimSpace(s[from:i]))
			from = i + 1
		}
	}
	if quoted || named || depth != 0 {
		return nil, errors.New("the arguments are cut off")
	}
	if last := strings.TrimSpace(s[from:]); last != "" || len(out) > 0 {
		out = append(out, last)
	}
	return out, nil
}

// number reads the number that s begins with: "3</a/b>", "-1 ENOENT (...)",
// "0x80042".
func number(s string) (int64, error) {
	end := strings.IndexAny(s, "< ")
	if end < 0 {
		end = len(s)
	}
	return strconv.ParseInt(s[:end], 0, 64)
}

// text reads a string in hex. One that strace has shortened is refused.
func text(arg string) ([]byte, error) {
	body, ok := strings.CutPrefix(arg, `"`)
	body, closed := strings.CutSuffix(body, `"`)
	if !ok || !closed {
		return nil, fmt.Errorf("%.40q is no whole string", arg)
	}
	return unhex(body)
}

func unhex(s string) ([]byte, error) {
	if len(s)%4 != 0 {
		return nil, errors.New("a string is not in hex")
	}
	out := make([]byte, len(s)/4)
	for i := range out {
		if s[4*i] != '\\' || s[4*i+1] != 'x' {
			return nil, errors.New("a string is not in hex")
		}
		if _, err := hex.Decode(out[i:i+1], []byte(s[4*i+2:4*i+4])); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// A descriptor is what strace says of one: the path of a file, or a socket.
type descriptor struct {
	path    string // absolute; "" for what is no file
	deleted bool   // path is where the file once was
	remote  string // of a TCP connection: the other side's address
}

// describe reads an argument like 3</a/b>, with the path in hex.
func describe(arg string) (descriptor, error) {
	_, name, ok := strings.Cut(arg, "<")
	if !ok {
		return descriptor{}, nil
	}
	name, deleted := strings.CutSuffix(name, "(deleted)")
	name, ok = strings.CutSuffix(name, ">")
	if !ok {
		return descriptor{}, fmt.Errorf("%.40q is no descriptor", arg)
	}
	if strings.HasPrefix(name, "TCP") {
		_, to, _ := strings.Cut(name, "->")
		return descriptor{remote: strings.TrimSuffix(to, "]")}, nil
	}
	if !strings.HasPrefix(name, `\x2f`) {
		return descriptor{}, nil // a pipe, an event
	}
	path, err := unhex(name)
	return descriptor{path: string(path), deleted: deleted}, err
}
