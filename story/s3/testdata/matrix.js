// matrix.js ENDPOINT BUCKET DIR: the JS SDK with lib-storage as a program would
// use it. Every file of DIR goes up as a stream and comes back; then what is
// refused, by code and status.
const { S3Client, GetObjectCommand, PutObjectCommand, HeadObjectCommand, CopyObjectCommand, ListObjectsV2Command, PutBucketVersioningCommand } = require('@aws-sdk/client-s3');
const { Upload } = require('@aws-sdk/lib-storage');
const fs = require('fs');
const path = require('path');
const { PassThrough } = require('stream');

const [endpoint, bucket, folder] = process.argv.slice(2);
const s3 = new S3Client({ endpoint, forcePathStyle: true });
const Bucket = bucket;
const fail = (text) => { console.log(text); process.exit(1); };

async function refused(what, code, status, command) {
  try {
    await s3.send(command);
  } catch (e) {
    if (e.name !== code || e.$metadata.httpStatusCode !== status) fail(`${what}: got ${e.name} ${e.$metadata && e.$metadata.httpStatusCode} (${e.message}), want ${code} ${status}`);
    return;
  }
  fail(what + ': no error');
}

(async () => {
  for (const name of fs.readdirSync(folder)) {
    const file = path.join(folder, name);
    await new Upload({ client: s3, params: { Bucket, Key: 'node/' + name, Body: fs.createReadStream(file) } }).done();
    const got = await s3.send(new GetObjectCommand({ Bucket, Key: 'node/' + name }));
    if (!fs.readFileSync(file).equals(Buffer.from(await got.Body.transformToByteArray()))) fail(name + ' came back changed');
  }
  // A stream of unknown length.
  await new Upload({ client: s3, params: { Bucket, Key: 'node/stream', Body: fs.createReadStream(path.join(folder, 'large')).pipe(new PassThrough()) } }).done();
  const one = fs.readFileSync(path.join(folder, 'one'));
  await s3.send(new PutObjectCommand({ Bucket, Key: 'node/a//ä b+', Body: one }));
  await s3.send(new CopyObjectCommand({ Bucket, Key: 'node/copy', CopySource: `/${bucket}/node/a//${encodeURIComponent('ä b+')}` }));
  const large = fs.readFileSync(path.join(folder, 'large'));
  for (let i = 0; i < 3; i++) {
    await refused('put', 'AccessDenied', 403, new PutObjectCommand({ Bucket, Key: 'denied/x', Body: large }));
    await refused('get', 'NoSuchKey', 404, new GetObjectCommand({ Bucket, Key: 'none' }));
  }
  await refused('head', 'NotFound', 404, new HeadObjectCommand({ Bucket, Key: 'none' }));
  await refused('list', 'NoSuchBucket', 404, new ListObjectsV2Command({ Bucket: 'no-such-bucket' }));
  await refused('range', 'InvalidRange', 416, new GetObjectCommand({ Bucket, Key: 'node/one', Range: 'bytes=5-' }));
  await refused('versioning', 'NotImplemented', 501, new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }));
})().catch((e) => fail(String(e)));
