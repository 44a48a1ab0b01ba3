"""One input for each shape in which a caller may send a file; what comes as a path or an open file is read."""

import collections
import dataclasses
import os
import pathlib
from typing import (
    Annotated,
    Any,
    BinaryIO,
    Deque,
    Dict,
    FrozenSet,
    Generic,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    NewType,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
    Union,
)

import pydantic
import pydantic.dataclasses
import pydantic.v1
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict
from cog import BaseModel, BasePredictor, File, Input, Path

Picture = NewType("Picture", Path)
T = TypeVar("T")


class CogModel(BaseModel):
    image: Path
    note: str = ""


@dataclasses.dataclass
class Data:
    image: Path
    spare: Path = Path("default.txt")


@dataclasses.dataclass
class Made:
    name: str

    def __post_init__(self):
        self.image = pathlib.Path(self.name)


@dataclasses.dataclass
class Styled:
    style: str

    def __post_init__(self):
        self.image = pathlib.Path(f"styles/{self.style}.txt")


class Typed(TypedDict, total=False):
    image: Path
    note: str


class Named(NamedTuple):
    image: Path
    note: str = ""


class Plain2(pydantic.BaseModel):
    image: pathlib.Path
    spare: pathlib.Path = pathlib.Path("default.txt")


class Alias2(pydantic.BaseModel):
    image: Path = pydantic.Field(alias="img")


class ByName2(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=True)
    image: Path = pydantic.Field(alias="img")


class Choices2(pydantic.BaseModel):
    image: Path = pydantic.Field(validation_alias=pydantic.AliasChoices("picture", "img"))


class Way2(pydantic.BaseModel):
    image: Path = pydantic.Field(validation_alias=pydantic.AliasPath("files", 0))


class Camel2(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=to_camel)
    my_image: Path


class Outer2(pydantic.BaseModel):
    inner: Alias2


class Many2(pydantic.BaseModel):
    listed: List[Path] = []
    bag: Set[pathlib.Path] = set()
    line: Deque[Path] = collections.deque()
    sequence: Sequence[Path] = ()
    table: Dict[str, Path] = {}
    keys: Dict[pathlib.Path, str] = {}
    pair: Tuple[Path, ...] = ()
    lazy: Iterable[pathlib.Path] = ()
    either: Union[Path, int] = 0
    named: Optional[Named] = None
    typed: Optional[Typed] = None
    data: Optional[Data] = None
    old: Optional[Alias2] = None


class Checked2(pydantic.BaseModel):
    image: Path

    @pydantic.field_validator("image", mode="after")
    @classmethod
    def again(cls, value):
        return pathlib.Path(str(value))


class Before2(pydantic.BaseModel):
    name: str = ""
    image: Optional[pathlib.Path] = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def fill(cls, values):
        return {**values, "image": values.get("name")}


class After2(pydantic.BaseModel):
    name: str = ""
    _image: Any = None

    @pydantic.model_validator(mode="after")
    def fill(self):
        self._image = pathlib.Path(self.name)
        return self


class Opens2(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    image: Any

    @pydantic.field_validator("image")
    @classmethod
    def open(cls, value):
        return open(value, "rb")


class Maps2(pydantic.BaseModel):
    names: Any

    @pydantic.field_validator("names")
    @classmethod
    def paths(cls, value):
        return map(pathlib.Path, value)


class Exists2(pydantic.BaseModel):
    image: pydantic.FilePath


class Folder2(pydantic.BaseModel):
    image: pydantic.DirectoryPath


class Json2(pydantic.BaseModel):
    image: pydantic.Json[pathlib.Path]


class Like2(pydantic.BaseModel):
    image: os.PathLike


class Files2(pydantic.RootModel[List[Path]]):
    pass


class Box2(pydantic.BaseModel, Generic[T]):
    value: T


class Node2(pydantic.BaseModel):
    image: Optional[Path] = None
    child: Optional["Node2"] = None


class A2(pydantic.BaseModel):
    one: Path


class B2(pydantic.BaseModel):
    two: Path


class Either2(pydantic.BaseModel):
    job: Union[A2, B2]


class Text2(pydantic.BaseModel):
    image: Union[Path, str]


@pydantic.dataclasses.dataclass
class Data2:
    image: Path = pydantic.Field(alias="img")


class Plain1(pydantic.v1.BaseModel):
    image: pathlib.Path


class Alias1(pydantic.v1.BaseModel):
    image: Path = pydantic.v1.Field(alias="img")


class Exists1(pydantic.v1.BaseModel):
    image: pydantic.v1.FilePath


class Root1(pydantic.v1.BaseModel):
    name: str = ""
    image: Any = None

    @pydantic.v1.root_validator
    def fill(cls, values):
        return {**values, "image": pathlib.Path(values["name"])}


class Files1(pydantic.v1.BaseModel):
    __root__: List[Path]


class Many1(pydantic.v1.BaseModel):
    files: List[Path] = []
    table: Dict[str, pathlib.Path] = {}
    inner: Optional[Alias1] = None
    text: Union[Path, str] = ""


def read(value, seen):
    """The content of every file that can be reached."""
    if id(value) in seen or isinstance(value, (str, int, float, type(None))):
        return []
    seen[id(value)] = value
    if isinstance(value, os.PathLike):
        try:
            return [pathlib.Path(value).read_text()]
        except OSError as error:
            return [f"no file: {type(error).__name__}"]
    if hasattr(value, "read"):
        content = value.read()
        return [content.decode() if isinstance(content, bytes) else content]
    parts = []
    if isinstance(value, Mapping):
        parts += [*value.keys(), *value.values()]
    elif hasattr(value, "__iter__") and not isinstance(value, (pydantic.BaseModel, pydantic.v1.BaseModel)):
        parts += list(value)
    parts += list(getattr(value, "__dict__", {}).values())
    parts += list((getattr(value, "__pydantic_private__", None) or {}).values())
    return [text for part in parts for text in read(part, seen)]


class Predictor(BasePredictor):
    def predict(
        self,
        path: Path = Input(default=None),
        python_path: pathlib.Path = Input(default=None),
        optional: Optional[Path] = None,
        listed: List[Path] = Input(default=None),
        pair: Tuple[Path, ...] = Input(default=None),
        bag: Set[Path] = Input(default=None),
        frozen: FrozenSet[Path] = Input(default=None),
        line: Deque[Path] = Input(default=None),
        sequence: Sequence[Path] = Input(default=None),
        iterable: Iterable[Path] = Input(default=None),
        table: Dict[str, Path] = Input(default=None),
        mapping: Mapping[str, List[Path]] = Input(default=None),
        file: File = Input(default=None),
        binary: BinaryIO = Input(default=None),
        like: os.PathLike = Input(default=None),
        picture: Picture = Input(default=None),
        marked: Annotated[Path, "marked"] = Input(default=None),
        exists: pydantic.FilePath = Input(default=None),
        path_or_int: Union[Path, int] = Input(default=None),
        path_or_list: Union[Path, List[Path]] = Input(default=None),
        path_or_text: Union[Path, str] = Input(default=None),
        text_or_path: Union[str, Path] = Input(default=None),
        cog_model: CogModel = Input(default=None),
        data: Data = Input(default=None),
        datas: List[Data] = Input(default=None),
        made: Made = Input(default=None),
        styled: Styled = Input(default=None),
        typed: Typed = Input(default=None),
        named: Named = Input(default=None),
        plain2: Plain2 = Input(default=None),
        alias2: Alias2 = Input(default=None),
        by_name2: ByName2 = Input(default=None),
        choices2: Choices2 = Input(default=None),
        way2: Way2 = Input(default=None),
        camel2: Camel2 = Input(default=None),
        outer2: Outer2 = Input(default=None),
        many2: Many2 = Input(default=None),
        checked2: Checked2 = Input(default=None),
        before2: Before2 = Input(default=None),
        after2: After2 = Input(default=None),
        opens2: Opens2 = Input(default=None),
        maps2: Maps2 = Input(default=None),
        exists2: Exists2 = Input(default=None),
        folder2: Folder2 = Input(default=None),
        json2: Json2 = Input(default=None),
        like2: Like2 = Input(default=None),
        files2: Files2 = Input(default=None),
        box2: Box2[Path] = Input(default=None),
        node2: Node2 = Input(default=None),
        either2: Either2 = Input(default=None),
        text2: Text2 = Input(default=None),
        data2: Data2 = Input(default=None),
        plain1: Plain1 = Input(default=None),
        alias1: Alias1 = Input(default=None),
        exists1: Exists1 = Input(default=None),
        root1: Root1 = Input(default=None),
        files1: Files1 = Input(default=None),
        many1: Many1 = Input(default=None),
        anything: Any = Input(default=None),
        default: Path = Input(default="default.txt"),
        chosen: Path = Input(default="default.txt", choices=["default.txt", "other.txt"]),
    ) -> str:
        given = {key: value for key, value in locals().items() if key != "self" and value is not None}
        spare = [given.pop("default"), given.pop("chosen")]
        text = [value for value in given.values() if isinstance(value, str)]
        text += [value.image for value in given.values() if isinstance(value, Text2) and isinstance(value.image, str)]
        text += [value.text for value in given.values() if isinstance(value, Many1) and value.text]
        return " ".join([*read(given, {}), *(f"text:{word}" for word in text), *read(spare, {})])
