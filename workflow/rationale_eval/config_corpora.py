"""The configuration of sources and corpora as types: where files come from and which reader takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

# Names become parts of file paths and wildcards.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
SHA256 = r"^[0-9a-f]{64}$"
FILE_NAME = r"^[A-Za-z0-9_][\w.+-]*$"
ADDRESS = r"^https?://[^/@\s]+(/[^\s]*)?$"
HUB_NAME = r"^[\w.-]+/[\w.-]+$"
# Snakemake takes what stands in braces in a path for a wildcard, and has no way of writing braces themselves.
PATH = r"^[^{}]*$"

Name = Annotated[str, StringConstraints(pattern=NAME, max_length=64)]
Sha256 = Annotated[str, StringConstraints(pattern=SHA256)]
FileName = Annotated[str, StringConstraints(pattern=FILE_NAME)]


def plain_path(path: str) -> str:
    """``path`` in the one spelling by which Snakemake knows it again.

    Without a slash at its end, with the home folder for ``~``, and relative if it is below the working folder.
    """
    if not path:
        return path
    try:
        found = Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path!r} names a home folder that is not known ({error})") from None
    here = Path.cwd()
    return str(found.relative_to(here) if found.is_relative_to(here) else found)


PathText = Annotated[str, StringConstraints(pattern=PATH), AfterValidator(plain_path)]
Rows = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """No unknown keys, no silent conversions ("5" is not 5), no changes after validation."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PackageFile(Strict):
    """A file that a pinned release of a package on the Python package index carries. Nothing in it is run."""

    package: str = Field(description="Name of the package.")
    version: str = Field(description="Exact version.")
    artifact: FileName = Field(description="File name of the wheel or source distribution.")
    sha256: Sha256 = Field(description="SHA-256 of the artifact; a file with another one is refused.")


class GgufInPackage(PackageFile):
    """A GGUF model file inside a wheel; it is de-quantised once."""

    gguf: str = Field(description="Path of the GGUF file in the wheel.")


class LocalPath(Strict):
    """A file or folder on this machine."""

    path: PathText = Field(description="Path, relative to the folder that Snakemake runs in.", min_length=1)


class Url(Strict):
    """One file, or several files of one folder, on a web server."""

    url: str = Field(description="Address of the file, or of the folder of `files`.", pattern=ADDRESS)
    sha256: Sha256 | None = Field(
        default=None,
        description="SHA-256 of the file; null: that of another entry with this address, or not checked, only logged "
        "(and refused where the server does not say how long the file is).",
    )
    files: dict[FileName, Sha256 | None] | None = Field(
        default=None, description="Names of the files in the folder, each with its SHA-256 or null."
    )

    @model_validator(mode="after")
    def _one_or_several(self) -> Url:
        if self.files is not None and (self.sha256 is not None or not self.files):
            raise ValueError("`files` holds at least one file, each with its own sha256")
        return self


class HubData(Strict):
    """A data set on the Hugging Face hub, at a revision."""

    hub: str = Field(description="owner/name of the data set.", pattern=HUB_NAME)
    revision: str = Field(description="Commit, tag or branch; a commit never changes.", min_length=1)
    files: list[str] | None = Field(default=None, description="Which files to get (glob patterns); null: all.")


SOURCES = ("path", "url", "hub", "package")  # the key that a source of each kind has


def source_kind(raw: Any) -> str | None:
    """Which kind of source is meant, so that a fault in it is reported once and not for every kind there is."""
    keys = raw if isinstance(raw, dict) else vars(raw) if isinstance(raw, BaseModel) else ()
    return next((f"({kind})" for kind in SOURCES if kind in keys), None)


CorpusSource = Annotated[
    Annotated[PackageFile, Tag("(package)")]
    | Annotated[LocalPath, Tag("(path)")]
    | Annotated[Url, Tag("(url)")]
    | Annotated[HubData, Tag("(hub)")],
    Discriminator(source_kind),
]


class CorpusEntry(Strict):
    """What every corpus has."""

    source: CorpusSource = Field(description="Where the files are: a local path, a package, a URL or a hub data set.")
    local: PathText | None = Field(
        default=None, description="Path below `data_root`; where it exists, it is read instead of the source."
    )
    task: Name = Field(description="The task, whose prompt file is named in `tasks`.")
    train_rows: Rows | None = Field(description="Number of train rows; null: all there are.")
    test_rows: Rows | None = Field(description="Number of test rows; null: all there are.")
    seed: int = Field(default=13, ge=0, description="Seed of the order in which rows are taken (and of the split).")
    description: str = Field(default="", description="What the texts are; shown in the report.")
    annotation: str = Field(default="", description="Who marked the rationales and how; shown wherever they are used.")
    marked_by: Literal["people", "proxy", "construction"] = Field(
        default="people",
        description="Who marked words: people who read the texts; a proxy, where nobody did; or made-up texts do.",
    )
    licence: str = Field(default="", description="Licence of the corpus; shown wherever its text is.")
    privacy: str = Field(default="", description="What to mind about the people in the texts; shown with them.")
    caveats: list[str] = Field(default=[], description="What a reader of the results should know; shown in its card.")
    citation: str = Field(default="", description="Publication to cite.")

    @property
    def field_names(self) -> tuple[str, ...] | None:
        """The names of the fields of an instance, in order; None where only reading the corpus can tell."""
        return ("text",)


class RatedSnippets(CorpusEntry):
    """Sentences with a mean rating by people, and a lexicon of words rated by people.

    The rationale of a sentence is a proxy: its words whose own rating agrees in sign with the label and is strong
    enough. Ratings go from -4 to 4.
    """

    format: Literal["rated_snippets"] = Field(description="Which reader takes the source.")
    marked_by: Literal["proxy"] = Field(default="proxy", description="Nobody marked words in these sentences.")
    archive: list[str] = Field(default=[], description="Archives to go through inside the source, outermost first.")
    snippets: str = Field(description="File with id, mean rating and text, separated by tabs.")
    lexicon: str = Field(description="File with word and mean rating (further columns are ignored).")
    lexicon_encoding: Literal["utf-8", "latin-1"] = Field(default="utf-8", description="Encoding of the lexicon.")
    min_rating: float = Field(default=0.75, ge=0, le=4, description="Sentences rated nearer to zero are left out.")
    min_word_rating: float = Field(default=1.0, gt=0, le=4, description="How strong a word's rating must be.")
    min_words: int = Field(default=4, ge=1, description="Shorter sentences are left out.")
    max_words: int = Field(default=40, ge=1, description="Longer sentences are left out.")
    test_share: float = Field(default=0.5, gt=0, lt=1, description="Share of the texts on the test side of the split.")

    @model_validator(mode="after")
    def _lengths(self) -> RatedSnippets:
        if self.max_words < self.min_words:
            raise ValueError(f"max_words ({self.max_words}) is below min_words ({self.min_words})")
        return self


class SplitFiles(CorpusEntry):
    """A corpus whose publisher says which rows are for training and which for tests."""

    archive: list[str] = Field(default=[], description="Archives to go through inside the source, outermost first.")
    train: list[str] = Field(
        description="Files with the train rows (names or glob patterns); []: none, where nothing is trained or "
        "shown as an example."
    )
    test: list[str] = Field(min_length=1, description="Files with the test rows (names or glob patterns).")
    bad_rows: Literal["error", "leave_out"] = Field(
        default="error", description="A malformed row stops the reading, or is left out and counted."
    )


class Esnli(SplitFiles):
    """e-SNLI in its authors' CSV (Camburu et al. 2018): words between asterisks, up to three annotators."""

    format: Literal["esnli"] = Field(description="Which reader takes the source.")
    aggregation: Literal["majority", "union", "first"] = Field(
        default="majority", description="Which words count as marked: by most annotators, by any, by the first."
    )

    @property
    def field_names(self) -> tuple[str, ...]:
        return ("premise", "hypothesis")


class Eraser(SplitFiles):
    """A corpus in ERASER's layout (DeYoung et al. 2020): rows in JSONL, documents apart, spans of tokens."""

    format: Literal["eraser"] = Field(description="Which reader takes the source.")
    docs: str = Field(description="Folder of the documents inside the source.")
    query_field: Name | None = Field(description="Name of the field that shows the query; null: it is not shown.")
    document_field: Name = Field(description="Name of the field that shows the document.")
    evidence_groups: Literal["union", "first"] = Field(
        default="union", description="Of alternative groups of evidence: all, or the first."
    )
    max_words: int | None = Field(
        default=None, ge=1, description="Longer documents lose whole sentences without evidence; null: none do."
    )
    labels: dict[str, str] | None = Field(
        default=None, description="From the file's classifications to labels; null: as they are."
    )

    @property
    def field_names(self) -> tuple[str, ...]:
        return (*([self.query_field] if self.query_field else []), self.document_field)


class MedicalBios(SplitFiles):
    """MedicalBios as on the hub (Eberle et al. 2023): words with 0/1 masks, the plain or the contrastive setting."""

    format: Literal["medical_bios"] = Field(description="Which reader takes the source.")
    setting: Literal["standard", "contrastive"] = Field(
        default="standard", description="Words for the label, or for the label rather than the foil."
    )


class MarkedWords(Strict):
    """How a table of one's own says which words are marked."""

    kind: Literal["word_indices", "mask", "char_spans", "marked_text"] = Field(
        description="Numbers of words from 0; 0 or 1 for each word; [start, end) of characters; text with *asterisks*."
    )
    column: str | None = Field(
        default=None, description="The column that holds it; null: only annotators' rationales are given."
    )
    field: Name | None = Field(default=None, description="The field it is about; null where there is only one.")
    words: str | None = Field(default=None, description="Column with the words it counts; null: split at spaces.")
    offsets: Literal["characters", "utf16", "bytes"] = Field(
        default="characters",
        description="What `char_spans` counts: characters (Python), UTF-16 units (JavaScript, Java), bytes of UTF-8.",
    )
    span_texts: str | None = Field(
        default=None,
        description="Column with a list of the spans' texts, by which `column` is checked; null: it is not checked.",
    )

    @model_validator(mode="after")
    def _of_spans(self) -> MarkedWords:
        if self.kind != "char_spans" and (self.offsets != "characters" or self.span_texts):
            raise ValueError(f"`offsets` and `span_texts` are about char_spans; kind is {self.kind}")
        if self.span_texts and self.column is None:
            raise ValueError("`span_texts` are those of the spans in `column`, which is not given")
        return self


class TableCorpus(SplitFiles):
    """A corpus of one's own: JSON Lines, CSV or Parquet."""

    format: Literal["table"] = Field(description="Which reader takes the source.")
    fields: dict[Name, str] = Field(min_length=1, description="Text fields by name: the column of each.")
    label: str = Field(description="The column of the label.")
    labels: dict[str, str] | None = Field(
        default=None, description="From the values in the label column to labels; null: as they are."
    )
    id: str | None = Field(default=None, description="The column of the id; null: numbers are given.")
    group: str | None = Field(
        default=None,
        description="The column of what a row is from, such as its article or author; null: not known. All rows of a "
        "group are on one side of the split.",
    )
    rationale: MarkedWords = Field(description="Where and how the marked words are given.")
    annotators: str | None = Field(
        default=None, description="Column with a list of such rationales, one for each annotator; null: there is none."
    )
    aggregation: Literal["majority", "union", "first"] = Field(
        default="majority", description="Which words count as marked: by most annotators, by any, by the first."
    )
    test_share: float | None = Field(
        default=None, gt=0, lt=1, description="Where train and test are the same files: share of texts for tests."
    )

    @property
    def field_names(self) -> tuple[str, ...]:
        return tuple(self.fields)


class Planted(CorpusEntry):
    """Made-up sentences whose label is decided by marked words, by construction: a known truth."""

    format: Literal["planted"] = Field(description="Which reader takes the source: a grammar (YAML).")
    marked_by: Literal["construction"] = Field(
        default="construction", description="The grammar of the texts marks them."
    )
    variant: Literal["plain", "conjunction", "negation", "decoy"] = Field(
        description="One cue; two that decide together; a cue that may be negated; a cue beside another that is not."
    )
    sentences: int = Field(default=4000, ge=2, description="Number of sentences that are made; equal ones count once.")
    test_share: float = Field(default=0.5, gt=0, lt=1, description="Share of the texts on the test side of the split.")


class PluginCorpus(CorpusEntry):
    """A corpus that a plugin reads."""

    format: Name = Field(description="Name under which a plugin registers its reader.")
    options: dict[str, Any] = Field(default={}, description="What the plugin's reader is told.")

    @property
    def field_names(self) -> None:
        return None


FORMATS: dict[str, type[CorpusEntry]] = {
    "rated_snippets": RatedSnippets,
    "planted": Planted,
    "esnli": Esnli,
    "eraser": Eraser,
    "medical_bios": MedicalBios,
    "table": TableCorpus,
}


def _format(raw: Any) -> str:
    name = raw.get("format") if isinstance(raw, dict) else getattr(raw, "format", None)
    return f"({name})" if isinstance(name, str) and name in FORMATS else "(plugin)"


Corpus = Annotated[
    Annotated[RatedSnippets, Tag("(rated_snippets)")]
    | Annotated[Planted, Tag("(planted)")]
    | Annotated[Esnli, Tag("(esnli)")]
    | Annotated[Eraser, Tag("(eraser)")]
    | Annotated[MedicalBios, Tag("(medical_bios)")]
    | Annotated[TableCorpus, Tag("(table)")]
    | Annotated[PluginCorpus, Tag("(plugin)")],
    Discriminator(_format),
]
