"""What the API answers, in its own words: written by `python -m tests.client_schemas`, not by hand."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Part of an answer.  Fields that a newer server adds are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)  # built when first read: quick to import


Role = Literal["annotator", "researcher", "owner", "admin"]


class OwnProject(Answer):
    """A project that the caller is in."""

    id: UUID
    name: str
    role: Role
    archived: bool


class MeOut(Answer):
    id: UUID
    name: str
    admin: bool = Field(description="Of the instance: looks after accounts, and may do everything in every project.")
    active: bool
    created_at: datetime
    network: Literal["open", "no hub", "offline"] = Field(
        description="What may be reached from here: everything, no hub, or nothing outside."
    )
    project: OwnProject | None = Field(description="The project of this request; null when the caller is in none.")
    projects: list[OwnProject]


class ProjectOut(Answer):
    id: UUID
    name: str
    role: Role = Field(description="What the caller may do in it.")
    archived_at: datetime | None
    created_at: datetime


class TokenOut(Answer):
    id: UUID
    name: str
    project_id: UUID | None
    role: Role | None
    prefix: str
    read_only: bool
    only: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewTokenOut(Answer):
    id: UUID
    name: str
    project_id: UUID | None
    role: Role | None
    prefix: str
    read_only: bool
    only: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    token: str = Field(description="Shown once.")


class FromFile(Answer):
    """A file that somebody sent."""

    kind: Literal["file"] = "file"


class FromServer(Answer):
    """A file or a folder of files in an allowed folder of the server, read where it lies."""

    kind: Literal["server"] = "server"
    path: str


class FromHub(Answer):
    """A split of a dataset of a hub at one commit, fetched when it is imported."""

    kind: Literal["hub"] = "hub"
    hub_id: str
    commit: str
    config: str
    split: str
    secret: str | None = None


State = Literal["queued", "starting", "running", "stopping", "succeeded", "failed", "cancelled", "lost"]


class ImportedBefore(Answer):
    """An import of the same data."""

    id: UUID
    name: str
    state: State
    dataset_id: UUID | None
    created_at: datetime


class UploadOut(Answer):
    id: UUID
    filename: str
    size: int
    sha256: str
    created_at: datetime
    origin: FromFile | FromServer | FromHub
    imported: list[ImportedBefore] = Field([], description="Imports of the same file that are there or under way.")


class ImportOut(Answer):
    id: UUID
    created_at: datetime
    upload_id: UUID
    filename: str = ""
    dataset_id: UUID | None
    name: str
    format: str
    columns: dict[str, Any] | None
    survey: dict[str, Any] | None
    abort_on_bad_row: bool
    state: State
    reason: str | None
    remedy: str | None
    stop_requested: bool
    rows_good: int
    rows_bad: int
    rows_doubled: int
    bytes_total: int
    bytes_read: int
    started_at: datetime | None
    finished_at: datetime | None


class Problem(Answer):
    """A row that was left out."""

    line: int
    field: str
    reason: str
    excerpt: str = ""


class ImportDetail(Answer):
    """One import with its bad rows (the first thousand) and warnings."""

    id: UUID
    created_at: datetime
    upload_id: UUID
    filename: str = ""
    dataset_id: UUID | None
    name: str
    format: str
    columns: dict[str, Any] | None
    survey: dict[str, Any] | None
    abort_on_bad_row: bool
    state: State
    reason: str | None
    remedy: str | None
    stop_requested: bool
    rows_good: int
    rows_bad: int
    rows_doubled: int
    bytes_total: int
    bytes_read: int
    started_at: datetime | None
    finished_at: datetime | None
    errors: list[Problem]
    warnings: list[dict[str, Any]]


Kind = Literal["prompts", "demonstrations", "unpaired", "paired", "ranked"]


class DatasetBrief(Answer):
    """What annotators see of a dataset."""

    id: UUID
    name: str
    kind: Kind
    items: int
    labelled: int


class DatasetOut(Answer):
    id: UUID
    name: str
    kind: Kind
    items: int
    labelled: int
    description: str
    toy: bool
    created_at: datetime
    last_used_at: datetime | None


class BarOut(Answer):
    """One bar of a histogram: how many responses have from `low` to below `high` characters."""

    low: int
    high: int
    responses: int


class MadeFrom(Answer):
    """The dataset that another one was made of, as it was called then, by which rule, and what was left out."""

    dataset_id: UUID
    name: str
    kind: Kind
    rule: dict[str, Any]
    title: str
    left_out: dict[str, int]
    doubled: int
    contradicting: int = 0


class DatasetDetail(Answer):
    """One dataset with what is in it; lengths are of a sample of `length_sample` items."""

    id: UUID
    name: str
    kind: Kind
    items: int
    labelled: int
    description: str
    toy: bool
    created_at: datetime
    last_used_at: datetime | None
    labels: int
    splits: dict[str, int]
    sources: dict[str, int]
    lengths: list[BarOut]
    length_sample: int
    made_from: MadeFrom | None = None


class ItemOut(Answer):
    id: UUID
    position: int
    split: str
    prompt: list[dict[str, Any]]
    responses: list[dict[str, Any]]
    facts: dict[str, Any]
    labels: list[dict[str, Any]] = []
    withdrawn_at: datetime | None = None


class LossesOut(Answer):
    """What an export would lose, counted over the items looked at, and said in sentences."""

    format: str
    style: str
    kind: Kind = Field(description="What the rows would hold.")
    change: str | None = Field(description="What becomes of the items where that is another kind than the dataset's.")
    items: int
    looked_at: int
    rows: int
    left_out: dict[str, int]
    dropped: dict[str, int]
    sentences: list[str]


class ConversionOut(Answer):
    """What can be made of a dataset's items: the kind, what becomes of an item, and the rule to be stated."""

    name: str
    title: str
    does: str
    to: Kind
    form: dict[str, Any] = Field(description="JSON schema of the rule.")


class PreviewRow(Answer):
    line: int
    prompt: list[dict[str, Any]]
    responses: list[dict[str, Any]]
    labels: list[dict[str, Any]]
    facts: dict[str, Any]


class ConvertPreviewOut(Answer):
    """What the rule would make: its first rows, and what it leaves out, counted over the items looked at."""

    to: Kind
    items: int
    looked_at: int
    made: int
    left_out: dict[str, int]
    doubled: int
    contradicting: int = Field(description="How many say something else of the same content; all of them are left out.")
    more: bool = Field(description="Whether more would be made than is made at once; then only these were counted.")
    sentences: list[str]
    rows: list[PreviewRow]


class ConvertedOut(Answer):
    dataset_id: UUID
    items: int
    left_out: dict[str, int]
    doubled: int
    contradicting: int


class SnapshotOut(Answer):
    id: UUID
    created_at: datetime
    dataset_id: UUID
    dataset_name: str = ""
    hash: str
    kind: Kind
    policy: dict[str, Any]
    policy_words: str = Field("", description="The policy as a sentence.")
    counts: dict[str, Any]


class SnapshotLabelOut(Answer):
    id: UUID
    item_id: UUID
    source: str
    value: dict[str, Any]
    annotator_id: UUID | None
    created_at: datetime


class HubDatasetOut(Answer):
    """What a hub says of a dataset: its commit, license, size, and the splits of each configuration."""

    hub_id: str
    commit: str
    license: str | None
    gated: bool
    private: bool
    size: int
    files: int
    configs: dict[str, list[str]]


class ShownArgument(Answer):
    """One argument of a call; without a name it is all that was given."""

    name: str | None
    text: str


class ShownCall(Answer):
    """A call of a tool."""

    name: str | None
    arguments: list[ShownArgument]


class ShownMessage(Answer):
    """A message as the card shows it. `html` comes from the safe renderer, the rest is plain text."""

    role: str
    html: str
    text: str = Field(description="As it is stored, in full.")
    reasoning: str | None = None
    tool_calls: list[ShownCall] | None = None


class Suggestion(Answer):
    """What a machine would say, in the order shown."""

    value: dict[str, Any]
    by: str = Field(description="Who says so, in words.")


class SamePrompt(Answer):
    """The item is the `place`-th of `count` with the same prompt."""

    place: int
    count: int


class Card(Answer):
    """An item to judge, blind: nothing tells where the responses come from, what others said, or what is known."""

    item_id: UUID
    dataset_id: UUID
    task_id: UUID
    kind: Literal["pair", "ranking", "thumb"]
    lease: UUID
    expires_at: datetime
    position: int = Field(description="The place of the card among those that you were handed.")
    prompt: list[ShownMessage]
    responses: list[ShownMessage]
    suggestion: Suggestion | None = None
    same_prompt: SamePrompt | None = None


class Progress(Answer):
    """How far a dataset, or a task, is. Skips and undone labels do not count; imported labels are not people's."""

    total: int
    labelled: int = Field(description="Items that somebody has judged; in a task those with all the labels it wants.")
    by_you: int
    skipped: int = Field(description="Items that you skipped and that still want a label.")
    left: int = Field(description="Items that you can still judge.")
    imported: int = Field(description="Items that no person has judged and that have imported labels.")
    today: int = Field(description="Your judgements since your midnight, in all datasets.")


class CardsOut(Answer):
    task_id: UUID
    cards: list[Card]
    progress: Progress


class OwnLabelOut(Answer):
    """The caller's own label in the order they saw, so that it tells nothing about the pair."""

    id: UUID
    item_id: UUID
    task_id: UUID | None
    kind: str
    value: dict[str, Any]
    aspects: dict[str, Any] | None
    seconds: float | None
    rationale: str | None
    version: int
    created_at: datetime


class SubmittedOut(Answer):
    label: OwnLabelOut
    next: Card | None
    progress: Progress | None = Field(description="Counted when there is no next pair; see also `/progress`.")
    late: bool = Field(description="Kept as surplus: enough others had answered by then.")


class UndoneOut(Answer):
    card: Card | None = Field(description="None when others hold it by now, or have judged it.")
    progress: Progress | None = Field(description="Of the task; None for what settled an item, which answers none.")


LabelSource = Literal["person", "import", "judge", "vote", "adjudication"]


class LabelOut(Answer):
    """Anybody's label, its value in the item's order."""

    id: UUID
    item_id: UUID
    task_id: UUID | None
    kind: str
    value: dict[str, Any]
    aspects: dict[str, Any] | None
    seconds: float | None
    rationale: str | None
    version: int
    created_at: datetime
    annotator_id: UUID | None
    annotator: str | None
    source: LabelSource
    swapped: bool
    surplus: bool = Field(description="It came when the task had all its labels of the item.")
    aided: dict[str, Any] | None = Field(description="The suggestion that was shown.")


class DatasetProgress(Answer):
    """A dataset of pairs, rankings or single answers and how far it is."""

    dataset_id: UUID
    name: str
    toy: bool
    tasked: bool = Field(description="There is a task about it, open for the caller or not: it is labelled there.")
    progress: Progress


class OutsideLabelOut(Answer):
    id: UUID
    client_id: UUID
    item_id: UUID


class OutsideLabelsOut(Answer):
    """The labels in the order in which they were sent; `known` of them were there already."""

    labels: list[OutsideLabelOut]
    known: int


class FeedbackItemOut(Answer):
    """Where it went: the answer with its thumb, and the pair that an edit made; `known` when it was there already."""

    id: UUID
    client_id: str | None
    item_id: UUID | None
    pair_id: UUID | None
    known: bool


class FeedbackOut(Answer):
    dataset_id: UUID | None = Field(description="Of answers with thumbs; null where none came.")
    pairs_id: UUID | None = Field(description="Of pairs that edits made; null where none came.")
    items: list[FeedbackItemOut]


class PolicyChoice(Answer):
    """The same policy with one other choice."""

    name: str
    title: str
    change: dict[str, Any] = Field(description="What of the policy is another.")
    examples: int
    left_out: dict[str, int]


class PolicyPreviewOut(Answer):
    items: int
    looked_at: int
    examples: dict[str, int] = Field(description="How many examples there would be, by split.")
    left_out: dict[str, int]
    sentences: list[str]
    choices: list[PolicyChoice]


class Aspect(Answer):
    """Something that each response is rated by, from `low` to `high`."""

    name: str
    title: str
    low: int = 1
    high: int = 5


class Question(Answer):
    """What is asked about each item.

    A `pair` is answered by a strength: of `scale` preference -1, 0 or 1, of `scale` strength -3 to 3. A `ranking` puts
    the responses into groups, best first; a `thumb` says whether the one response is good. An edit of a response
    becomes a new item."""

    kind: Literal["pair", "ranking", "thumb"] = "pair"
    scale: Literal["preference", "strength"] = "strength"
    both_bad: bool = True
    aspects: list[Aspect] = []
    rationale: Literal["off", "optional", "required"] = "optional"
    edits: bool = False


class Assistance(Answer):
    """What helps who labels; all of it is off by default."""

    group_prompts: bool = Field(False, description="Items with the same prompt come one after the other.")
    suggest: bool = Field(False, description="Cards show what a machine would answer, marked as suggested.")


class TaskProgress(Answer):
    """How far a task is. Skips and labels that were taken back do not count; withdrawn items are none."""

    total: int
    done: int = Field(description="Items that have all the labels wanted.")
    labels: int = Field(description="Labels given of those wanted: surplus and labels of withdrawn items left out.")
    wanted: int = Field(description="Labels wanted of all items together.")
    by_you: int
    skipped: int = Field(description="Items that you skipped and that want labels.")
    left: int = Field(description="Items that you can still label.")


Order = Literal["sequential", "random", "uncertainty"]


class TaskPersonOut(Answer):
    id: UUID
    name: str


class TaskDetail(Answer):
    """The same for those who made it: what annotators must not see."""

    id: UUID
    dataset_id: UUID
    dataset: str
    dataset_kind: Kind
    name: str
    question: Question
    guidelines: str
    guidelines_html: str
    overlap: int
    deadline: datetime | None
    standing: bool
    closed_at: datetime | None
    created_at: datetime
    assistance: Assistance | None
    progress: TaskProgress
    gold_share: float
    order: Order
    seed: int
    people: list[TaskPersonOut]
    created_by: UUID | None


class TaskOut(Answer):
    """A task; `people` is empty when every member may label."""

    id: UUID
    dataset_id: UUID
    dataset: str
    dataset_kind: Kind
    name: str
    question: Question
    guidelines: str
    guidelines_html: str
    overlap: int
    deadline: datetime | None
    standing: bool
    closed_at: datetime | None
    created_at: datetime
    assistance: Assistance | None
    progress: TaskProgress


class SuggestionsOut(Answer):
    stored: int
    ordered: bool = Field(description="Whether the task's items are in a new order: the least certain first.")


class SuggestionOut(Answer):
    """What is suggested for an item, in the item's own order."""

    item_id: UUID
    by: str
    value: dict[str, Any]
    margin: float


class SuggestedOut(Answer):
    """How many items of a task a machine has suggestions for."""

    by: str
    items: int


class LimitsIn(Answer):
    """What work may cost at endpoints; it stops before a request that could go beyond."""

    money: float | None = Field(None, description="In the currency of the prices.")
    tokens: int | None = Field(None, description="Read and written together.")


class SpentOut(Answer):
    """What work has cost at endpoints so far."""

    requests: int = 0
    read: int = Field(0, description="Tokens of questions.")
    written: int = Field(0, description="Tokens of answers.")
    money: float = 0
    estimated: int = Field(
        0, description="Requests whose tokens nobody told: a quarter of the characters, or the most there can be."
    )


class SuggestionJobOut(Answer):
    """Work that suggests labels; `done` and `total` count items."""

    id: UUID
    created_at: datetime
    task_id: UUID
    judge: dict[str, Any] = Field(description="Who suggests, with every setting.")
    words: str = Field(description="What annotators read of who suggests.")
    state: State
    reason: str | None
    remedy: str | None
    done: int
    total: int
    suggested: int = Field(description="Items that have a suggestion by it.")
    left_out: dict[str, int] = Field(description="Items that nothing was suggested for, by the reason.")
    median: float | None = Field(description="Of all scores, where thumbs go by it.")
    taken: int = Field(description="Verdicts that were there already, and were not asked for again.")
    limits: LimitsIn | None
    spent: SpentOut | None
    started_at: datetime | None
    finished_at: datetime | None


class ExpectedOut(Answer):
    """An estimate."""

    low: float
    high: float


class CostOut(Answer):
    """What endpoints are expected to cost; `unpriced` are those that nobody gave a price."""

    requests: int
    tokens: ExpectedOut
    money: ExpectedOut
    unpriced: list[str]


class SuggestionSizeOut(Answer):
    """What suggesting would take; of more than 2,000 items the first ones are read, and stand for the others."""

    items: int = Field(description="Items that want labels.")
    verdicts: int = Field(description="Asked of a judge: every two responses in both orders; 0 where scores decide.")
    taken: int = Field(description="Of these, said already: they cost nothing.")
    cost: CostOut | None = Field(description="Null where no endpoint is asked.")


Source = Literal["folder", "hub", "run", "toy", "endpoint", "outputs"]

CheckpointKind = Literal["language_model", "reward_model"]


class EndpointFacts(Answer):
    """How an endpoint is asked."""

    base_url: str
    model: str
    secret: str | None
    concurrency: int = 4
    timeout_seconds: float = 120
    requests_per_minute: int | None = Field(None, description="Requests; null: as many as come.")
    input_price: float | None = Field(None, description="Money for a million tokens; null: not known.")
    output_price: float | None = Field(None, description="Money for a million tokens; null: not known.")


class CheckpointOut(Answer):
    id: UUID
    created_at: datetime
    name: str
    source: Source
    hub_id: str | None
    revision: str | None
    run_id: UUID | None
    parent_id: UUID | None
    step: int | None
    adapter: bool
    kind: CheckpointKind = Field(description="Whether it writes responses, or scores those of others.")
    architecture: str
    parameters: int
    max_tokens: int | None
    toy: bool
    license: str | None
    endpoint: EndpointFacts | None
    chat_template: Literal["own", "given", "missing", "not needed"] = Field(
        description="The model's own, given by somebody, or missing."
    )
    available: bool = Field(description="Whether the weights are still where they were registered.")
    pinned: bool = Field(description="Whether no retention rule may delete the weights.")
    bytes: int | None = Field(description="Size of the weights in the storage; null where they lie elsewhere.")
    removed_at: datetime | None
    removed_by: str | None = Field(description="The retention rule that deleted the weights, in words.")


class RunRef(Answer):
    """A run as lineage shows it."""

    id: UUID
    name: str
    objective: str
    state: State
    spec: dict[str, Any]
    created_at: datetime


class SnapshotRef(Answer):
    """A snapshot as lineage shows it."""

    id: UUID
    hash: str
    dataset_id: UUID
    dataset: str
    counts: dict[str, Any]


class DataRef(Answer):
    """One of the snapshots that a run trained on, and its share of the draws (null: all examples alike)."""

    snapshot_id: UUID
    hash: str
    dataset_id: UUID
    dataset: str
    train: int
    weight: float | None
    share: float | None


class Ancestor(Answer):
    """One checkpoint of a chain, with the run and the data that made it; both null for imported weights."""

    checkpoint: CheckpointOut
    run: RunRef | None
    snapshot: SnapshotRef | None
    data: list[DataRef] = []


class EvaluationRef(Answer):
    """An evaluation in which a checkpoint took part."""

    id: UUID
    name: str
    state: State
    created_at: datetime


class LineageOut(Answer):
    """A checkpoint's history, itself first and the oldest ancestor last, and what has been done with it since."""

    chain: list[Ancestor]
    children: list[CheckpointOut]
    evaluations: list[EvaluationRef]


class HubFileOut(Answer):
    name: str
    bytes: int


class HubModelOut(Answer):
    """A model of a hub before anything large is fetched. `refusal` and `remedy` say why it cannot be fetched now."""

    hub_id: str
    revision: str
    commit: str
    license: str | None
    gated: bool
    private: bool
    token: bool = Field(description="Whether the hub was asked with a token.")
    architecture: str | None = Field(description="Null when the model's configuration cannot be read.")
    parameters: int | None
    chat_template: bool | None = Field(description="Whether one is there; null when that cannot be told.")
    files: list[HubFileOut]
    left_out: int = Field(description="Files that are not fetched: code, pickles, other copies of the weights.")
    bytes: int
    free_bytes: int
    refusal: str | None
    remedy: str | None
    warnings: list[str]


class FetchOut(Answer):
    id: UUID
    created_at: datetime
    state: State
    reason: str | None
    remedy: str | None
    done: int
    total: int
    name: str
    hub_id: str
    revision: str
    commit: str | None
    secret: str | None
    license: str | None
    checkpoint_id: UUID | None


class EndpointTestOut(Answer):
    """What an endpoint answered to a test."""

    model: str
    listed: bool = Field(description="Whether the server lists the model; some list none.")
    max_tokens: int | None
    answer: str
    seconds: float


Place = Literal["worker", "elsewhere"]


class RunOut(Answer):
    id: UUID
    created_at: datetime
    name: str
    kind: str
    objective: str
    state: State
    reason: str | None
    remedy: str | None
    failure: str | None
    stop_requested: bool
    done: int
    total: int
    eta_seconds: float | None
    started_at: datetime | None
    finished_at: datetime | None
    heartbeat_at: datetime | None
    checkpoint_id: UUID
    snapshot_id: UUID
    place: Place
    host: str | None
    device: str | None
    devices: int
    reporter: dict[str, Any] | None
    state_step: int | None = Field(description="Step after which a run that was stopped can go on; null when it can't.")
    state_host: str | None = Field(description="The only machine that can continue it; null when every worker can.")


class RegressionBrief(Answer):
    """The newest check of a run, as lists show it."""

    id: UUID
    evaluation_id: UUID
    state: State
    mark: Literal["worse", "no_worse", "unclear"] | None
    summary: str | None


class RunRow(Answer):
    """A run in the list, with what the table shows of other rows."""

    id: UUID
    created_at: datetime
    name: str
    kind: str
    objective: str
    state: State
    reason: str | None
    remedy: str | None
    failure: str | None
    stop_requested: bool
    done: int
    total: int
    eta_seconds: float | None
    started_at: datetime | None
    finished_at: datetime | None
    heartbeat_at: datetime | None
    checkpoint_id: UUID
    snapshot_id: UUID
    place: Place
    host: str | None
    device: str | None
    devices: int
    reporter: dict[str, Any] | None
    state_step: int | None = Field(description="Step after which a run that was stopped can go on; null when it can't.")
    state_host: str | None = Field(description="The only machine that can continue it; null when every worker can.")
    position: int | None = Field(description="Place in the queue, from 1; null when it is not waiting.")
    checkpoint: str
    checkpoint_toy: bool
    dataset_id: UUID
    dataset: str
    regression: RegressionBrief | None = Field(description="Its newest check for regressions.")
    metrics: dict[str, float]
    sparkline: list[float]


class MixedOut(Answer):
    """A snapshot that a run trains on, and its share of the draws (null: all examples are taken alike)."""

    snapshot_id: UUID
    hash: str
    dataset_id: UUID
    dataset: str
    train: int
    weight: float | None
    share: float | None


class RunDetail(Answer):
    """One run with its spec."""

    id: UUID
    created_at: datetime
    name: str
    kind: str
    objective: str
    state: State
    reason: str | None
    remedy: str | None
    failure: str | None
    stop_requested: bool
    done: int
    total: int
    eta_seconds: float | None
    started_at: datetime | None
    finished_at: datetime | None
    heartbeat_at: datetime | None
    checkpoint_id: UUID
    snapshot_id: UUID
    place: Place
    host: str | None
    device: str | None
    devices: int
    reporter: dict[str, Any] | None
    state_step: int | None = Field(description="Step after which a run that was stopped can go on; null when it can't.")
    state_host: str | None = Field(description="The only machine that can continue it; null when every worker can.")
    position: int | None = Field(description="Place in the queue, from 1; null when it is not waiting.")
    checkpoint: str
    checkpoint_toy: bool
    dataset_id: UUID
    dataset: str
    regression: RegressionBrief | None = Field(description="Its newest check for regressions.")
    metrics: dict[str, float]
    sparkline: list[float]
    data: list[MixedOut]
    spec: dict[str, Any]
    yaml: str
    snapshot_hash: str
    reference_id: UUID | None
    third_ids: dict[str, UUID] = Field(description="Other checkpoints that the objective asks for, by name.")
    events_offset: int
    checkpoints: list[UUID]
    guard: dict[str, Any] | None = Field(description="How it is checked for regressions when it has succeeded.")


class Finding(Answer):
    """Something wrong or doubtful about a run that is not launched yet."""

    field: str | None
    detail: str
    remedy: str | None = None


class MemoryPart(Answer):
    """One part of the memory estimate."""

    name: str
    bytes: int


class EstimateOut(Answer):
    """What a run will take; `seconds` is a range, null where neither a comparable run nor a machine was measured.

    Tokens are null where they cannot be counted before the launch."""

    memory: list[MemoryPart]
    memory_bytes: int
    memory_error: float = Field(description="Share by which the memory was wrong at most where it was measured.")
    available_bytes: int | None = Field(description="Free memory of this machine; null when a GPU will train.")
    device: str
    parameters: int
    trainable: int
    disk_bytes: int
    free_disk_bytes: int
    examples: int
    steps: int
    tokens: int | None = Field(description="Of all examples seen, the prompt counted with each response.")
    tokens_computed: int | None = Field(description="Of them, those that are computed: a shared prompt once.")
    gradient_checkpointing: bool = Field(description="Whether layers would be computed again to save memory.")
    seconds: tuple[float, float] | None
    seconds_by: Literal["runs", "speed"] | None = Field(
        description="What tells the time: earlier runs like it, or how fast the workers' machines compute."
    )


class PreflightOut(Answer):
    """Errors forbid the launch, warnings do not; `yaml` is the same run for the command line."""

    errors: list[Finding]
    warnings: list[Finding]
    estimate: EstimateOut | None
    yaml: str | None


class Series(Answer):
    """One metric's course. A bucket of the ladder has a mean as its value and the lowest and highest beside it."""

    step: list[int] = Field(default_factory=list)
    value: list[float | None] = Field(default_factory=list)
    low: list[float] = Field(default_factory=list)
    high: list[float] = Field(default_factory=list)


class MetricsOut(Answer):
    """Metrics up to `cursor`. `whole` replaces what the caller has; otherwise it is appended to that."""

    cursor: int
    whole: bool
    level: int
    series: dict[str, Series]


class EventOut(Answer):
    id: UUID
    created_at: datetime
    kind: str
    step: int | None
    payload: dict[str, Any]


class EventsOut(Answer):
    """Events in order; ask again with `cursor` as `after`."""

    items: list[EventOut]
    cursor: UUID | None


class JudgeOut(Answer):
    """A part that decides matches; `schema` describes its fields."""

    name: str
    title: str
    summary: str
    decided_by: Literal["part", "people", "model", "scores"]
    schema_: dict[str, Any] = Field(alias="schema")


class TakenOut(Answer):
    """What is taken from earlier evaluations instead of being asked again."""

    answers: int = 0
    verdicts: int = 0


class SizeOut(Answer):
    """What an evaluation would take, before it is started."""

    prompts: int
    available: int = Field(description="Distinct prompts at the source.")
    responses: int
    matches: int
    verdicts: int = Field(description="Both side orders of every match; 0 when people judge.")
    tokens_at_most: int
    taken: TakenOut = Field(description="Answers and verdicts that earlier evaluations hold already.")
    cost: CostOut | None = Field(description="Null where no endpoint is asked.")
    seconds: ExpectedOut | None = Field(description="By earlier evaluations of these contestants; null without one.")
    warnings: list[str]


class CheckpointBrief(Answer):
    id: UUID
    name: str
    toy: bool


class HarnessIn(Answer):
    """What lm-evaluation-harness is to measure on every contestant besides."""

    tasks: list[str] = Field(description="Names of its tasks, or of groups of them.")
    limit: int | None = Field(None, description="Documents of each task; null: all.")
    num_fewshot: int | None = Field(None, description="Examples before each question; null: the task's.")
    chat_template: bool = Field(False, description="Put questions into the checkpoint's chat template.")


class EvaluationOut(Answer):
    id: UUID
    created_at: datetime
    name: str
    contestants: list[CheckpointBrief]
    prompts: dict[str, Any]
    judge: dict[str, Any]
    judge_model: CheckpointBrief | None = Field(description="The model that judges in words, if one does.")
    judge_models: dict[str, CheckpointBrief] = Field({}, description="Models that the judge asks, by its fields.")
    sampling: dict[str, Any]
    seed: int
    pairing: str | None = Field(description="`baseline`: only the first contestant meets the others.")
    harness: HarnessIn | None
    reuse: bool | None
    taken: TakenOut | None
    limits: LimitsIn | None
    spent: SpentOut | None
    state: State
    reason: str | None
    remedy: str | None
    stop_requested: bool
    done: int
    total: int
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None


class RateOut(Answer):
    """A win rate with all that is needed to read it; null numbers have a `reason`."""

    rate: float | None
    low: float | None
    high: float | None
    n: int
    prompts: int
    wins: int
    ties: int
    losses: int
    tie_rule: Literal["half", "drop", "shown"]
    level: float
    seed: int
    method: str
    reason: str | None


class PairOut(Answer):
    """How `first` did against `second` under one judge."""

    first: UUID
    second: UUID
    win_rate: RateOut
    mean_probability: float | None = Field(description="That `first` wins, over the verdicts; null without one.")
    verdicts: int
    undecided: dict[str, int] = Field(description="Verdicts without an answer, by reason; part of `verdicts`.")
    contradicted: int = Field(description="Matches whose verdict changed with the side order; they count as ties.")
    both_bad: int


class StandingOut(Answer):
    """A contestant's place: its strength in nats against the baseline (the arena's: the mean), and ranks possible."""

    contestant: UUID
    strength: float
    low: float | None = Field(description="Null where nothing bounds it, or the ranking's `reason` says why.")
    high: float | None
    rank: int
    best: int
    worst: int
    matches: int


class CircleOut(Answer):
    """Each contestant beat the next, and the last the first; `p` is small where all three wins are beyond chance."""

    contestants: list[UUID]
    p: float


class CyclesOut(Answer):
    """How many triples are circles, as observed, and between which shares the truth lies."""

    share: float
    low: float
    high: float
    triples: int
    circles: list[CircleOut]
    level: float


class EffectOut(Answer):
    """What an ordinary difference in a style is worth to a judge, in nats; null where no two answers differ in it."""

    name: str
    value: float | None
    low: float | None
    high: float | None


class StyledOut(Answer):
    """The ranking with length, headings, bold and lists set equal; without standings, `reason` says why."""

    standings: list[StandingOut]
    effects: list[EffectOut]
    n: int
    prompts: int
    level: float
    reason: str | None


class RankingOut(Answer):
    """Contestants by Bradley-Terry strength, a tie half a win of each; without standings, `reason` says why."""

    standings: list[StandingOut]
    groups: list[list[UUID]] = Field(description="More than one: nobody can be ranked across them.")
    observed: list[list[float | None]] = Field(
        description="Score of the row against the column, both in the order of the evaluation's contestants."
    )
    predicted: list[list[float | None]] = Field(description="What the strengths would give.")
    n: int
    prompts: int
    level: float
    seed: int
    rounds: int
    reason: str | None
    cycles: CyclesOut | None = Field(description="Null where no three have all met each other.")
    styled: StyledOut | None = Field(description="Null in the arena.")


class ControlledOut(Answer):
    """The win rate if both had answered at the same length; the effect of length is the judge's."""

    rate: float | None
    low: float | None
    high: float | None
    raw: float | None
    length_ratio: float | None
    effect: float
    n: int
    prompts: int
    level: float
    seed: int
    rounds: int
    method: str
    reason: str | None


class StoppingOut(Answer):
    """Whether the evaluation may stop: bounds that hold however often one looks."""

    state: Literal["decided", "equal", "open"]
    rate: float | None
    low: float
    high: float
    evidence: float
    needed: float | None = Field(description="About how many more prompts would decide; null if there is no pace.")
    prompts: int
    margin: float
    level: float
    reason: str | None


class NextOut(Answer):
    """How far the interval reaches to each side now, and after `prompts` more verdicts: the most telling, or by lot."""

    prompts: int
    now: float
    guided: float
    by_lot: float


class CorrectedOut(Answer):
    """The win rate that people would give, from their verdicts on some prompts and the judge's on more."""

    rate: float | None
    low: float | None
    high: float | None
    weight: float | None = Field(description="How far the judge is trusted, from 0 to 1.")
    effective: float | None = Field(description="On how many prompts people alone would say as much.")
    judge_alone: float | None
    people_alone: float | None
    people: int
    judged: int
    level: float
    reason: str | None
    uneven: bool = Field(description="Whether people judged more of some verdicts of the judge than of others.")
    next: NextOut | None = Field(description="What more verdicts of people would do.")


class PublishedOut(Answer):
    """AlpacaEval 2's own length-controlled win rate; its error knows nothing of the doubt in the fit, as published."""

    rate: float | None
    standard_error: float | None
    length: float | None = Field(description="The coefficient of length: below 0 the judge likes longer answers.")
    reason: str | None


class AgainstOut(Answer):
    """A contestant against the baseline, which is the first one."""

    contestant: UUID
    prompts: int
    controlled: ControlledOut
    p: float = Field(description="Paired permutation test over prompts, two-sided.")
    p_adjusted: float = Field(description="After Holm, for as many contestants as there are.")
    sign_p: float = Field(description="Exact sign test over prompts.")
    difference: float = Field(description="Mean score less the baseline's, from -1 to 1.")
    detectable: float | None = Field(description="The difference from a half found four times in five; or null.")
    stopping: StoppingOut | None = Field(description="Null where people were handed matches by what they tell.")
    corrected: CorrectedOut | None = Field(description="Null for people's own verdicts.")
    published: PublishedOut | None = Field(None, description="Of imported AlpacaEval annotations.")


class CleanOut(Answer):
    """A contestant against the baseline on prompts that either was trained on, and on the others."""

    contestant: UUID
    seen: RateOut
    unseen: RateOut


class StepRateOut(Answer):
    """How a checkpoint of a run did against the baseline: one place of the curve over steps."""

    run_id: UUID
    step: int
    checkpoint_id: UUID
    rate: float | None
    low: float | None
    high: float | None
    n: int


class TableOut(Answer):
    """Everything one judge, or people together, said."""

    judge: str
    source: Literal["person", "judge"]
    statements: list[str] = Field([], description="What keeps these verdicts from telling anything.")
    pairs: list[PairOut]
    shown_first: RateOut = Field(description="How often the response shown first won: 50 % without position bias.")
    consistency: RateOut | None = Field(
        description="How often a judge said the same in both side orders; null for people, who see one."
    )
    verdicts: int
    unreadable: int = Field(description="Replies of a model that held no verdict; part of `verdicts`, of no rate.")
    one_sided: int = Field(description="Matches that a judge decided in one side order only; they are left out.")
    ranking: RankingOut | None = Field(None, description="Of three contestants or more.")
    against: list[AgainstOut] = Field([], description="Each contestant that met the baseline.")
    clean: list[CleanOut] = Field([], description="Contestants that met the baseline on prompts seen in training.")
    by_step: list[StepRateOut] = Field([], description="Checkpoints of runs against the baseline, by run and step.")


class MeanOut(Answer):
    mean: float | None
    low: float | None
    high: float | None
    n: int
    prompts: int
    level: float
    seed: int
    method: str
    reason: str | None


class ContestantOut(Answer):
    id: UUID
    name: str
    toy: bool
    run_id: UUID | None = Field(None, description="The run that made it.")
    run: str | None = Field(None, description="That run's name.")
    step: int | None = Field(None, description="After how many of its steps.")
    responses: int
    failed: dict[str, int] = Field(description="Prompts without an answer, by reason.")
    length: MeanOut = Field(description="Characters.")
    cut: int = Field(description="Answers that ended at the longest length.")
    scores: dict[str, MeanOut] = Field(description="What an automatic judge measured on each answer.")


class AgreementOut(Answer):
    """How often people and the judge named the same winner."""

    judge: str
    n: int
    agreed: int
    kappa: float | None


class TrainedOnOut(Answer):
    """A snapshot that a contestant, or one of its ancestors, was trained on."""

    snapshot_id: UUID
    dataset_id: UUID
    dataset: str


class SeenOut(Answer):
    """How many of the prompts stand in what a contestant was trained on."""

    contestant: UUID
    snapshots: list[TrainedOnOut]
    prompts: int = Field(description="Distinct prompts that were looked for; empty ones are not.")
    exact: int = Field(description="Word for word, once normalised.")
    overlapping: int = Field(description="Not whole, but most of their runs of words.")
    share: float | None = Field(description="Of the prompts, both kinds together; null without a prompt.")
    words: str


class ContaminationOut(Answer):
    """Whether an evaluation's prompts were trained on; `items` are those contestants that were trained here."""

    state: State | None = Field(description="Null: nobody asked, or no contestant was trained here.")
    reason: str | None
    remedy: str | None
    done: int = Field(description="Training examples that were read.")
    total: int
    trained: int = Field(description="Contestants that were trained here.")
    items: list[SeenOut] = Field(description="Empty until it is known.")
    words: str


class MeasuredOut(Answer):
    """A contestant on a task of lm-evaluation-harness; `change` is against the baseline, null for that itself."""

    task: str
    contestant: UUID
    metric: str
    higher_is_better: bool
    value: float
    low: float | None
    high: float | None
    n: int
    reason: str | None = Field(description="Why there are no bounds.")
    change: float | None
    change_low: float | None
    change_high: float | None
    paired: bool = Field(description="Whether samples were compared one by one; else both errors were.")
    level: float
    seed: int


class ReportOut(Answer):
    evaluation: EvaluationOut
    matches: int
    judged_by_people: int
    tables: list[TableOut]
    contestants: list[ContestantOut]
    agreement: list[AgreementOut]
    contamination: ContaminationOut
    measured: list[MeasuredOut] = Field([], description="By lm-evaluation-harness.")
    warnings: list[str]


class MeterOut(Answer):
    """A number of a set of answers with its interval over prompts; null numbers have a `reason`."""

    value: float | None
    low: float | None
    high: float | None
    n: int = Field(description="Answers.")
    prompts: int
    level: float
    reason: str | None


class ContestantMetersOut(Answer):
    """What one contestant's answers are like."""

    contestant: UUID
    meters: dict[str, MeterOut]
    against: dict[str, MeterOut] = Field(description="Less the baseline's, on prompts that both answered.")


class MetersOut(Answer):
    """Meters of every contestant, the baseline first."""

    contestants: list[ContestantMetersOut]
    prompts: int = Field(description="Prompts with an answer that was read.")
    of: int = Field(description="Prompts of the evaluation; of many, some are drawn, the same for everybody.")
    level: float


class ResponseOut(Answer):
    checkpoint_id: UUID
    message: ShownMessage | None
    tokens: int | None
    ended: bool | None
    error: str | None


class VerdictOut(Answer):
    """One judgement in match order: `probability` is that of `a` winning."""

    id: UUID
    source: str
    judge: str | None
    swapped: bool
    probability: float | None
    reason: str | None
    value: dict[str, Any] | None
    scores: list[dict[str, Any]] | None
    text: str | None
    created_at: datetime


class MatchOut(Answer):
    id: UUID
    position: int
    prompt: list[ShownMessage]
    a: ResponseOut
    b: ResponseOut
    score: float | None = Field(description="Outcome of `a`, 1 won and 0 lost, averaged over people and each judge.")
    verdicts: list[VerdictOut]


class MatchCard(Answer):
    """A match to judge, blind."""

    match_id: UUID
    position: int
    prompt: list[ShownMessage]
    left: ShownMessage
    right: ShownMessage
    guided: bool = Field(False, description="Handed out because it tells much, not by lot; sent back with the verdict.")


class JudgingOut(Answer):
    """How far people are with an evaluation's matches."""

    total: int
    by_you: int
    by_anyone: int
    left: int


class MatchCardsOut(Answer):
    evaluation_id: UUID
    name: str
    cards: list[MatchCard]
    progress: JudgingOut


class OwnVerdictOut(Answer):
    """The caller's own verdict in the order they saw."""

    id: UUID
    match_id: UUID
    value: dict[str, Any]
    created_at: datetime


class JudgedOut(Answer):
    """One's own verdict, and how far people are; no names, for whoever judges more of them stays blind."""

    verdict: OwnVerdictOut
    progress: JudgingOut


class DivergenceOut(Answer):
    """KL(contestant || reference) on the contestant's own answers, in nats."""

    contestant: UUID
    exact: MeterOut = Field(description="Mean over answers of the divergence over the whole vocabulary, summed.")
    k1: MeterOut = Field(description="Mean log-ratio of an answer.")
    k3: MeterOut = Field(description="Mean over answers of the sum of exp(-u) - 1 + u over tokens.")
    per_token: MeterOut = Field(description="The log-ratio of all answers by their tokens.")
    waiting: int = Field(description="Answers that are queued or being read.")
    failed: int


class DivergencesOut(Answer):
    """Every contestant that was measured against one reference."""

    reference: CheckpointBrief
    items: list[DivergenceOut]
    warnings: list[str]
    level: float


class RewardOut(Answer):
    """What a checkpoint earns, with its interval over prompts."""

    value: float
    low: float | None
    high: float | None
    n: int
    prompts: int


class FrontierPointOut(Answer):
    """A checkpoint: how far it has moved, and what it earns."""

    evaluation_id: UUID
    contestant: CheckpointBrief
    run_id: UUID | None
    run: str | None
    step: int | None
    kl: MeterOut
    reward: RewardOut
    front: bool = Field(description="No other point earns as much at as little KL.")


class MatchedOut(Answer):
    """Two runs at one KL; without a number, `reason` says why."""

    first: UUID
    second: UUID
    least: float | None = Field(description="Both were seen between this KL and `most`.")
    most: float | None
    at: float | None
    first_reward: float | None
    second_reward: float | None
    difference: float | None
    low: float | None
    high: float | None
    prompts: int
    rounds: int
    level: float
    seed: int
    reason: str | None


class UnjoinedOut(Answer):
    """An evaluation whose points cannot stand beside these."""

    evaluation_id: UUID
    name: str
    reason: str


class FrontierOut(Answer):
    """Reward against KL."""

    reference: CheckpointBrief | None
    references: list[CheckpointBrief] = Field(description="Those to which KL was measured.")
    reward: str
    rewards: list[str] = Field(description="What can stand against KL.")
    judge: str
    estimator: Literal["exact", "k1"]
    points: list[FrontierPointOut]
    began: list[UUID] = Field(description="Runs that began with the reference: at no KL, with what it earns.")
    matched: list[MatchedOut]
    unjoined: list[UnjoinedOut]
    warnings: list[str]
    level: float
    reason: str | None = Field(description="Why there are no points.")


class VerdictUndoneOut(Answer):
    """The match that comes back."""

    card: MatchCard
    progress: JudgingOut


class MatchExportOut(Answer):
    """What an export did; matches that could not become pairs are counted by reason."""

    dataset_id: UUID
    dataset: str
    items: int
    labels: int = Field(description="Labels that were not there before.")
    trainable: int = Field(description="Items in the training split; test prompts never enter training.")
    left_out: dict[str, int]


class TurnOut(Answer):
    """An earlier turn of the conversation, and the vote on it."""

    battle_id: UUID
    message: list[ShownMessage]
    answers: list[ShownMessage | None]
    vote: dict[str, Any] | None


class BattleOut(Answer):
    """One's own battle, blind until one has voted and asked for the names; all lists are in the order shown."""

    id: UUID
    conversation_id: UUID
    turn: int
    created_at: datetime
    state: State
    reason: str | None
    remedy: str | None
    contestants: int
    before: list[TurnOut] = Field(description="The earlier turns, oldest first.")
    message: list[ShownMessage] = Field(description="What the person said in this turn.")
    answers: list[ShownMessage | None] = Field(description="Null until there, or when a retention rule deleted it.")
    vote: dict[str, Any] | None
    names: list[CheckpointBrief] | None


class OfferedPromptOut(Answer):
    """A prompt that the person has not asked in the arena."""

    text: str


class TallyOut(Answer):
    """Votes of the arena by pair, the caller's own or everybody's; a ranking where three or more have met."""

    votes: int = Field(description="Battles with a vote, but for those still blind to the caller.")
    cluster: Literal["prompt", "person"] = Field(description="What is drawn anew for intervals.")
    names: dict[Any, str]
    pairs: list[PairOut]
    ranking: RankingOut | None


class RegressionPart(Answer):
    """One thing that was compared, as a share of prompts (or a task's metric) of which more is better.

    `p` is corrected over all parts. Numbers are null where there are none, and `reason` says why."""

    kind: Literal["checks", "answers", "refuses", "task"] = Field(
        description="`answers`: of prompts that should be answered, those not refused. `refuses`: the other way round."
    )
    name: str
    mark: Literal["worse", "no_worse", "unclear"] | None = Field(
        description="Null where the margin says nothing about a task's metric."
    )
    base: float | None
    now: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    prompts: int
    better: int | None = Field(description="Prompts on which it is better now; null where only errors are known.")
    worse: int | None
    left_out: int = Field(description="Prompts of which one side could not be looked at.")
    needed: int | None = Field(description="About how many prompts would tell; null where told, or none would.")
    method: Literal["paired", "two_errors", "none"]
    reason: str | None


class RegressionFound(Answer):
    """What a check for regressions amounts to."""

    mark: Literal["worse", "no_worse", "unclear"]
    summary: str = Field(description="In one sentence.")
    statements: list[str] = Field(description="What makes it worth little, in sentences.")
    parts: list[RegressionPart]
    reasons: dict[str, int] = Field(description="Prompts that were left out, by reason.")
    margin: float
    level: float
    seed: int


class RegressionOut(Answer):
    id: UUID
    created_at: datetime
    run_id: UUID
    evaluation_id: UUID = Field(description="What was answered and judged; cancel and resume it there.")
    checkpoint: CheckpointBrief | None
    base: CheckpointBrief | None
    margin: float
    level: float
    state: State
    reason: str | None
    remedy: str | None
    stop_requested: bool
    done: int
    total: int
    finished_at: datetime | None
    mark: Literal["worse", "no_worse", "unclear"] | None
    result: RegressionFound | None


class PromptCheckOut(Answer):
    id: UUID
    created_at: datetime
    category: str
    prompt: list[dict[str, Any]]
    expects: dict[str, Any] = Field(description="`rules`, names of installed `checks`, and whether to `refuse`.")


ExportKind = Literal["merged", "adapter"]

Dtype = Literal["as_trained", "bf16"]


class FileOut(Answer):
    name: str
    size: int
    sha256: str


class ComparisonOut(Answer):
    """How far the logits of the export, loaded again, are from the checkpoint's, both computed in float32."""

    prompts: int
    positions: int
    difference: float = Field(description="Root of the mean square, as a share of the logits' spread.")
    tolerance: float = Field(description="The difference from which on the export is thrown away.")
    same_token: float = Field(description="Share of positions with the same most likely token.")


class CommandOut(Answer):
    """Something to copy into a terminal or a program."""

    title: str
    language: str
    text: str


class ExportOut(Answer):
    id: UUID
    created_at: datetime
    finished_at: datetime | None
    state: State
    reason: str | None
    remedy: str | None
    done: int
    total: int
    step: str | None = Field(description="What is being done: loading, writing, comparing, finishing.")
    checkpoint_id: UUID
    name: str = Field(description="Name of the folder in the archive.")
    kind: ExportKind
    dtype: Dtype
    written_dtype: str | None
    base: str | None = Field(description="What an adapter stands on: a hub id, or the folder that the commands expect.")
    bytes: int
    files: list[FileOut]
    comparison: ComparisonOut | None
    available: bool = Field(description="Whether the files are still there.")
    archive_bytes: int | None = Field(description="Size of the archive.")
    commands: list[CommandOut]


class PushOut(Answer):
    id: UUID
    created_at: datetime
    finished_at: datetime | None
    state: State
    reason: str | None
    remedy: str | None
    done: int
    total: int
    checkpoint_id: UUID
    export_id: UUID | None
    repo_id: str
    private: bool
    secret: str
    commit: str | None
    url: str | None
