"""The job of docs/python.md: pip install zuko scikit-learn pandas."""

import copy

import numpy as np
import pandas as pd
from sklearn import datasets
import torch
from torch.utils import data
import zuko

frame = datasets.load_breast_cancer(as_frame=True).data.iloc[:, :10]
torch.manual_seed(0)

order = np.random.RandomState(0).permutation(len(frame))
test, train = np.split(frame.to_numpy()[order], [round(0.2 * len(frame))])
mean, std = train.mean(axis=0), train.std(axis=0)

def _standardized(x):
  return torch.tensor((x - mean) / std, dtype=torch.float32)

train, validation = data.random_split(_standardized(train), [0.8, 0.2])
flow = zuko.flows.NSF(features=10, transforms=3, hidden_features=(64, 64))
optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3)
best = np.inf
for _ in range(200):
  for x in data.DataLoader(train, batch_size=64, shuffle=True):
    loss = -flow().log_prob(x).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
  with torch.no_grad():
    value = -flow().log_prob(validation[:]).mean().item()
  if value < best:
    best, weights = value, copy.deepcopy(flow.state_dict())
flow.load_state_dict(weights)

def _score(x):
  with torch.no_grad():
    return flow().log_prob(_standardized(x)).numpy() - np.log(std).sum()

print(-_score(test).mean())
scores = _score(frame.to_numpy())
samples = pd.DataFrame(
    flow().sample((1000,)).numpy() * std + mean, columns=frame.columns)
