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
CREDENTIALS_FILE = "AWS_SHARED_CREDENTIALS_FILE"
"""A file of keys by profile; ``~/.aws/credentials`` where it is not set."""
CREDENTIALS_PROFILE = "AWS_PROFILE"
"""Which of them; ``default`` where it is not set."""
ROLE = "AWS_ROLE_ARN"
"""A role whose keys are given for a token, which says who this pod is."""
IDENTITY_FILE = "AWS_WEB_IDENTITY_TOKEN_FILE"
"""The file with that token, which the cluster renews."""
ROLE_SESSION = "AWS_ROLE_SESSION_NAME"
"""What the role's log calls this process."""
ROLE_ENDPOINT = "AWS_ENDPOINT_URL_STS"
"""Who gives the keys; Amazon's own server for a store of Amazon's where it is not set."""
CONTAINER_PATH = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
CONTAINER_URL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
"""Where the agent of a cluster or task gives the keys of its role."""
CONTAINER_TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
"""A file with what the container's agent wants to hear."""
MACHINE_DISABLED = "AWS_EC2_METADATA_DISABLED"
"""``true``: the machine is not asked for the keys of its role."""
MACHINE_ENDPOINT = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
"""Where the machine is asked; 169.254.169.254 where it is not set."""
LIMITS = "PGAT_STORE_LIMITS"
"""Limits which are not the usual ones, as JSON: ``model_core.deadlines``."""
KFP_TOKEN = "KFP_TOKEN"
"""Token for the API of Kubeflow Pipelines."""
KFP_TOKEN_FILE = "KFP_TOKEN_FILE"
"""A file that holds it, read again for each request."""
KFP_COOKIE = "KFP_COOKIE"
"""Cookie of a session that is signed in there."""
KFP_COOKIE_FILE = "KFP_COOKIE_FILE"
REGISTRY_TOKEN = "MODEL_REGISTRY_TOKEN"
"""Token for Kubeflow's Model Registry."""
REGISTRY_TOKEN_FILE = "MODEL_REGISTRY_TOKEN_FILE"
"""A file that holds it, read again for each request."""
WEBHOOK = "PGAT_WEBHOOK"
"""URL that is told how a run on a cluster ended; whoever knows it may post there, so it is a secret."""
STEP_NOTES = "PGAT_STEP_NOTES"
"""Name of the step, where how it fares is to be noted for the step that ends the run: ``components.notes``."""
MLFLOW_URI = "MLFLOW_TRACKING_URI"
"""Of an MLflow server."""
MLFLOW_RUN = "MLFLOW_RUN_ID"
"""The run there that a step logs to; Kubeflow Pipelines sets it where an administrator connected MLflow."""
MLFLOW_TOKEN = "MLFLOW_TRACKING_TOKEN"
MLFLOW_USERNAME = "MLFLOW_TRACKING_USERNAME"
MLFLOW_PASSWORD = "MLFLOW_TRACKING_PASSWORD"
MLFLOW_GROUP = "MLFLOW_EXPERIMENT_NAME"
"""Experiment that runs go to."""
TRAINER_URL = "KUBEFLOW_TRAINER_SERVER_URL"
"""Where a TrainJob's status is told how far the training is."""
TRAINER_AUTHORITY = "KUBEFLOW_TRAINER_SERVER_CA_CERT"
"""A file with the certificate of who vouches for that server."""
TRAINER_TOKEN = "KUBEFLOW_TRAINER_SERVER_TOKEN"
"""A file with the token that this pod has for it."""
CERTIFICATES = "SSL_CERT_FILE"
"""File with the certificates of the authorities that this machine trusts."""
AUTHORITIES = "PGAT_CA_CONFIG_MAP"
"""The ConfigMap that this pod has that file from, for pods that it starts itself."""
PLACEMENT = "PGAT_TRAINJOB_PODS"
"""Where those pods may run and as whom, as JSON: ``components.train.placement``."""

KEYS = (ACCESS_KEY, SECRET_KEY)
"""Of a user; a role has others, which end after a while."""
WHEREABOUTS = (ENDPOINT, OTHER_ENDPOINT, REGION, OTHER_REGION, ROLE_ENDPOINT, LIMITS)
"""Where the store is and how long it may take: no secrets, so that they may stand in the description of a job."""
STORE = (*KEYS, SESSION_TOKEN, *WHEREABOUTS)
"""What a step in a container may learn of its surroundings."""
SECRETS = (
    SECRET_KEY,
    SESSION_TOKEN,
    KFP_TOKEN,
    KFP_COOKIE,
    REGISTRY_TOKEN,
    WEBHOOK,
    MLFLOW_TOKEN,
    MLFLOW_PASSWORD,
)
"""Variables whose values no text may hold."""

SECRET_FIELDS = {"accesskey": ACCESS_KEY, "secretkey": SECRET_KEY}
"""Field of a Kubernetes Secret, as Kubeflow names it → the variable that it becomes."""
CLUSTER_STORE = "http://seaweedfs.kubeflow:9000"
"""The store of a cluster with Kubeflow's own manifests."""
AUTHORITIES_FOLDER = "/etc/pgat-authorities"
"""Where a pod has the ConfigMap of authorities."""
AUTHORITIES_FILE = f"{AUTHORITIES_FOLDER}/ca.crt"
