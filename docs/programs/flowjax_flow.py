"""The job of docs/python.md: pip install flowjax scikit-learn pandas."""

from flowjax import bijections
from flowjax import distributions
from flowjax import flows
from flowjax import train as training
import jax
from jax import numpy as jnp
import numpy as np
import pandas as pd
from sklearn import datasets

frame = datasets.load_breast_cancer(as_frame=True).data.iloc[:, :10]

order = np.random.RandomState(0).permutation(len(frame))
test, train = np.split(frame.to_numpy()[order], [round(0.2 * len(frame))])
mean, std = train.mean(axis=0), train.std(axis=0)
flow_key, fit_key, sample_key = jax.random.split(jax.random.key(0), 3)
flow = flows.masked_autoregressive_flow(
    flow_key, base_dist=distributions.Normal(jnp.zeros(10)),
    transformer=bijections.RationalQuadraticSpline(knots=8, interval=4))
flow, losses = training.fit_to_data(
    fit_key, flow, jnp.asarray((train - mean) / std), learning_rate=1e-3,
    max_epochs=200, max_patience=20, val_prop=0.2, batch_size=64)

def _score(x):
  return np.asarray(flow.log_prob((x - mean) / std)) - np.log(std).sum()

print(-_score(test).mean())
scores = _score(frame.to_numpy())
samples = pd.DataFrame(
    np.asarray(flow.sample(sample_key, (1000,))) * std + mean,
    columns=frame.columns)
