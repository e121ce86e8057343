"""Names of environment variables, and of what else leads to an object store: each of them stands here once.

``docker/step`` and ``docker/compose.yaml`` cannot read Python; ``tests/test_one_place.py`` holds them to this.
"""

ACCESS_KEY = "AWS_ACCESS_KEY_ID"
SECRET_KEY = "AWS_SECRET_ACCESS_KEY"
SESSION_TOKEN = "AWS_SESSION_TOKEN"
ENDPOINT = "AWS_ENDPOINT_URL"
OTHER_ENDPOINT = "S3_ENDPOINT"
"""Read where ``ENDPOINT`` is not set."""
REGION = "AWS_REGION"
OTHER_REGION = "AWS_DEFAULT_REGION"
"""Read where ``REGION`` is not set."""
LIMITS = "PGAT_STORE_LIMITS"
"""Limits which are not the usual ones, as JSON: ``model_core.deadlines``."""
KFP_TOKEN = "KFP_TOKEN"
"""Token for the API of Kubeflow Pipelines."""
KFP_TOKEN_FILE = "KFP_TOKEN_FILE"
"""A file that holds it, read again for each request."""
KFP_COOKIE = "KFP_COOKIE"
"""Cookie of a session that is signed in there."""
KFP_COOKIE_FILE = "KFP_COOKIE_FILE"
CERTIFICATES = "SSL_CERT_FILE"
"""File with the certificates of the authorities that this machine trusts."""

KEYS = (ACCESS_KEY, SECRET_KEY)
"""Without them no store is opened."""
WHEREABOUTS = (ENDPOINT, OTHER_ENDPOINT, REGION, OTHER_REGION, LIMITS)
"""Where the store is and how long it may take: no secrets, so that they may stand in the description of a job."""
STORE = (*KEYS, SESSION_TOKEN, *WHEREABOUTS)
"""What a step in a container may learn of its surroundings."""
SECRETS = (SECRET_KEY, SESSION_TOKEN, KFP_TOKEN, KFP_COOKIE)
"""Variables whose values no text may hold."""

SECRET_FIELDS = {"accesskey": ACCESS_KEY, "secretkey": SECRET_KEY}
"""Field of a Kubernetes Secret, as Kubeflow names it → the variable that it becomes."""
CLUSTER_STORE = "http://seaweedfs.kubeflow:9000"
"""The store of a cluster with Kubeflow's own manifests."""
