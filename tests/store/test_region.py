"""The region that requests to a store are signed for."""

import pytest

from model_core.store.client import connect

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize(
    ("environment", "region"),
    [
        ({}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-west-1"}, "eu-central-1"),
        ({"AWS_ENDPOINT_URL": "https://s3.ap-south-1.amazonaws.com"}, "ap-south-1"),
        ({"AWS_ENDPOINT_URL": "https://s3.us-gov-west-1.amazonaws.com"}, "us-gov-west-1"),
        ({"AWS_ENDPOINT_URL": "https://s3.ap-south-1.amazonaws.com", "AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_ENDPOINT_URL": "http://seaweedfs.kubeflow:9000"}, "us-east-1"),
    ],
)
def test_the_region_is_the_named_one_or_that_of_the_endpoint(
    environment: dict[str, str], region: str
) -> None:
    client = connect(KEYS | environment)
    assert client._get_region("bucket") == region


def test_an_endpoint_of_amazons_is_asked_in_its_own_region() -> None:
    client = connect(KEYS | {"AWS_ENDPOINT_URL": "https://s3.ap-south-1.amazonaws.com"})
    assert "ap-south-1" in client.presigned_get_object("bucket", "key").partition("?")[0]
