// Package s3 plays S3 clients against a real server, over http and https: one
// story for what each operation answers (operations_test.go), one for forms and
// presigned URLs (presigned_test.go), and the matrix of clients and sizes
// (matrix_test.go). It holds tests only. Begin at house_test.go.
package s3
