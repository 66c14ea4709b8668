package server_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// TestCodeLocation: the URL that GetFunction gives out needs no credentials,
// and is good for ten minutes, and for the code that it was given out for.
func TestCodeLocation(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	role, err := h.admin.IAM.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("f"), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	must(err)
	code := func(text string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		f, err := z.Create("index.py")
		must(err)
		_, err = f.Write([]byte(text))
		must(err)
		must(z.Close())
		return b.Bytes()
	}
	first := code("first")
	_, err = h.admin.Lambda.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: aws.String("f"), Role: role.Role.Arn, Runtime: lambdatypes.RuntimePython311,
		Handler: aws.String("index.handler"), Code: &lambdatypes.FunctionCode{ZipFile: first}})
	must(err)
	locate := func() (url, sha string) {
		t.Helper()
		f, err := h.admin.Lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("f")})
		must(err)
		return *f.Code.Location, *f.Configuration.CodeSha256
	}
	web := h.admin.Config.HTTPClient
	fetch := func(url string) (int, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
		must(err)
		resp, err := web.Do(req)
		must(err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		must(err)
		return resp.StatusCode, b
	}
	refused := func(what, url, says string) {
		t.Helper()
		if status, b := fetch(url); status != 403 || !strings.Contains(string(b), says) || bytes.Contains(b, []byte("PK")) {
			t.Errorf("%s: got %d %s, want 403 with %q", what, status, b, says)
		}
	}

	url, sha := locate()
	status, got := fetch(url)
	if sum := sha256.Sum256(got); status != 200 || !bytes.Equal(got, first) || base64.StdEncoding.EncodeToString(sum[:]) != sha {
		t.Fatalf("fetched %d, %d bytes, want the zip of %d", status, len(got), len(first))
	}
	h.moved.Store(int64(9*time.Minute + 55*time.Second))
	if status, _ := fetch(url); status != 200 {
		t.Errorf("before it expires: got %d", status)
	}
	h.moved.Store(int64(10*time.Minute + time.Second))
	refused("after ten minutes", url, "Request has expired")

	url, _ = locate()
	_, err = h.admin.Lambda.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("f"), ZipFile: code("second")})
	must(err)
	refused("after the code was replaced", url, "GetFunction")
	url, _ = locate()
	_, err = h.admin.Lambda.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String("f")})
	must(err)
	refused("after the function was deleted", url, "GetFunction")
}
