# matrix.py ENDPOINT BUCKET DIR: boto3 as a program would use it. Every file of
# DIR goes up and comes back; a stream, presigned URLs and a form; then what is
# refused, by code and status.
import io, os, ssl, sys, urllib.request, uuid
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from boto3.exceptions import S3UploadFailedError

endpoint, bucket, folder = sys.argv[1:]
s3 = boto3.client('s3', endpoint_url=endpoint)
for name in sorted(os.listdir(folder)):
    path = os.path.join(folder, name)
    s3.upload_file(path, bucket, 'boto3/' + name)
    s3.download_file(bucket, 'boto3/' + name, path + '.got')
    same = open(path, 'rb').read() == open(path + '.got', 'rb').read()
    os.remove(path + '.got')
    if not same:
        sys.exit(name + ' came back changed')

# Names of metadata are taken from the headers as they come. A date that the
# program sends replaces X-Amz-Date.
s3.put_object(Bucket=bucket, Key='boto3/meta', Metadata={'owner-id': '7', 'x': 'Y'})
dated = boto3.client('s3', endpoint_url=endpoint)
dated.meta.events.register('before-call.s3.HeadObject', lambda params, **_: params['headers'].update(Date='now'))
for c in s3, dated:
    got = c.head_object(Bucket=bucket, Key='boto3/meta')['Metadata']
    if got != {'owner-id': '7', 'x': 'Y'}:
        sys.exit('metadata: ' + repr(got))

class Stream(io.RawIOBase):  # of unknown length
    def __init__(self, f): self.f = f
    def readable(self): return True
    def readinto(self, b): return self.f.readinto(b)

with open(os.path.join(folder, 'large'), 'rb') as f:
    s3.upload_fileobj(Stream(f), bucket, 'boto3/stream')

def fetch(url, method='GET', data=None, headers={}):
    context = ssl.create_default_context(cafile=os.environ['AWS_CA_BUNDLE'])
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), context=context) as r:
        return r.status, r.read()

for version in 's3', 's3v4':  # boto3 presigns with V2 where nothing says V4
    c = boto3.client('s3', endpoint_url=endpoint, config=Config(signature_version=version))
    params = {'Bucket': bucket, 'Key': 'boto3/ä b+' + version}
    # urllib sends some Content-Type always, and V2 signs it always.
    url = c.generate_presigned_url('put_object', {'ContentType': 'text/x', **params})
    fetch(url, 'PUT', b'presigned', {'Content-Type': 'text/x'})
    _, got = fetch(c.generate_presigned_url('get_object', params))
    if got != b'presigned':
        sys.exit('presigned with ' + version + ': ' + repr(got))
    post = c.generate_presigned_post(bucket, 'boto3/form-' + version, Conditions=[['content-length-range', 1, 100]])
    mark = uuid.uuid4().hex
    body = ''.join('--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (mark, k, v) for k, v in post['fields'].items())
    body += '--%s\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nposted\r\n--%s--\r\n' % (mark, mark)
    status, _ = fetch(post['url'], 'POST', body.encode(), {'Content-Type': 'multipart/form-data; boundary=' + mark})
    if status != 204 or s3.get_object(Bucket=bucket, Key='boto3/form-' + version)['Body'].read() != b'posted':
        sys.exit('form with ' + version + ': %d' % status)

s3.copy({'Bucket': bucket, 'Key': 'boto3/large'}, bucket, 'boto3/copy')  # in parts
if s3.head_object(Bucket=bucket, Key='boto3/copy')['ContentLength'] != os.path.getsize(os.path.join(folder, 'large')):
    sys.exit('the copy has another size')

def refused(what, code, status, fn):
    try:
        fn()
    except ClientError as e:
        got = e.response['Error']['Code'], e.response['ResponseMetadata']['HTTPStatusCode']
    except S3UploadFailedError as e:
        got = (code, status) if '(' + code + ')' in str(e) else str(e)
    else:
        got = 'no error'
    if got != (code, status):
        sys.exit('%s: got %s, want %s %d' % (what, got, code, status))

large = open(os.path.join(folder, 'large'), 'rb').read()
for i in range(3):  # an early refusal must not break the connection
    refused('put', 'AccessDenied', 403, lambda: s3.put_object(Bucket=bucket, Key='denied/x', Body=large))
    refused('upload', 'AccessDenied', 403, lambda: s3.upload_file(os.path.join(folder, 'large'), bucket, 'denied/x'))
    refused('get', 'NoSuchKey', 404, lambda: s3.get_object(Bucket=bucket, Key='none'))
refused('head', '404', 404, lambda: s3.head_object(Bucket=bucket, Key='none'))
refused('list', 'NoSuchBucket', 404, lambda: s3.list_objects(Bucket='no-such-bucket'))
refused('range', 'InvalidRange', 416, lambda: s3.get_object(Bucket=bucket, Key='boto3/one', Range='bytes=5-'))
refused('upload id', 'NoSuchUpload', 404, lambda: s3.list_parts(Bucket=bucket, Key='k', UploadId='0' * 32))
refused('versioning', 'NotImplemented', 501, lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={'Status': 'Enabled'}))
if boto3.resource('s3', endpoint_url=endpoint).Bucket(bucket).objects.filter(Prefix='boto3/form').delete()[0]['Deleted'][0]['Key'] != 'boto3/form-s3':
    sys.exit('delete many')
