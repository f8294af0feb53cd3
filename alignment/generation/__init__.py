"""Sampling from a checkpoint: batched or streamed, each prompt drawn with randomness of its own."""

from alignment.generation.draw import pick as pick
from alignment.generation.generator import Generator as Generator
from alignment.generation.generator import PromptTooLong as PromptTooLong
from alignment.generation.generator import Response as Response
from alignment.generation.reading import AnswerTooLong as AnswerTooLong
from alignment.generation.rows import Finish as Finish
