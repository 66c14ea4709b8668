"""Lets an old boto3 find Strait: before 1.28 (botocore 1.31) it does not know AWS_ENDPOINT_URL.

When botocore.session is imported, its create_client is wrapped; nothing is imported before that.
"""
import importlib.abc
import importlib.util
import os
import sys


def wrap(module):
    import botocore

    if tuple(int(n) for n in botocore.__version__.split(".")[:2]) >= (1, 31):
        return  # it knows by itself
    create = module.Session.create_client

    def create_client(self, service_name, region_name=None, api_version=None, use_ssl=True, verify=None,
                      endpoint_url=None, *args, **kwargs):
        ignored = os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"
        if endpoint_url is None and not ignored:
            try:
                service = self.get_service_model(service_name, api_version).service_id
            except Exception:
                service = service_name
            name = "AWS_ENDPOINT_URL_" + service.upper().replace(" ", "_").replace("-", "_")
            endpoint_url = os.environ.get(name) or os.environ.get("AWS_ENDPOINT_URL") or None
            if endpoint_url is not None and verify is None:
                verify = os.environ.get("AWS_CA_BUNDLE") or None
        return create(self, service_name, region_name, api_version, use_ssl, verify, endpoint_url, *args, **kwargs)

    module.Session.create_client = create_client


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "botocore.session":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            try:
                wrap(module)
            except Exception as e:
                print("strait: boto3 is used as it is: %s" % e, file=sys.stderr)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
