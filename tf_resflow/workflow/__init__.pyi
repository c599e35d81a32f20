from .detection import detect as detect
from .evaluating import evaluate as evaluate
from .explaining import explain as explain
from .fitting import fit as fit
from .page import save_page as save_page
from .runs import load as load
from .runs import Run as Run
from .scoring import score as score
