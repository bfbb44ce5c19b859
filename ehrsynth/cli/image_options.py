"""Options of `ehrsynth images`."""

from pathlib import Path
from typing import Annotated

import typer

ImageData = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A folder with a folder for each class, or an .npz of images and labels.",
        exists=True,
    ),
]
OutStudy = Annotated[
    Path, typer.Option("--out", "-o", help="The study's folder; one that was interrupted goes on.")
]
Size = Annotated[
    int | None,
    typer.Option("--size", min=28, max=256, help="Pixels a side. (default: as stored, 128 at most)"),
]
Text = Annotated[
    str,
    typer.Option(
        "--text", help="Where text is burned in: refuse, mask (in all images), or accept (you looked)."
    ),
]
OneImage = Annotated[
    bool, typer.Option("--one-image-per-patient", help="Declare that no patient has two images.")
]
Patients = Annotated[
    Path | None,
    typer.Option("--patients", help="CSV with the columns file and patient.", exists=True, dir_okay=False),
]
Pattern = Annotated[
    str | None,
    typer.Option("--patient-pattern", help="Regular expression whose group is the patient in a file's name."),
]
Slices = Annotated[int, typer.Option("--slices", min=1, help="Slices taken from the middle of each volume.")]
ModelSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A setting of the model, for instance own_steps=80; repeatable."
    ),
]
Cut = Annotated[
    list[str] | None,
    typer.Option("--cut", metavar="CLASS=N", help="Most training images of a class; repeatable."),
]
ImageModel = Annotated[
    str, typer.Option("--generator", "-g", help="class_wise_vae, conditional_vae or latent_diffusion.")
]
Epsilon = Annotated[
    float | None,
    typer.Option("--epsilon", help="Learn under differential privacy: at most what one patient may change."),
]
Delta = Annotated[float | None, typer.Option("--delta", help="The chance that epsilon leaves out.")]
PublicPatients = Annotated[
    int | None,
    typer.Option(
        "--public-rows", min=1, help="With --epsilon: how many patients there are, as far as everybody knows."
    ),
]
PublicClasses = Annotated[
    list[str] | None,
    typer.Option(
        "--public-class", help="With --epsilon: a class that is known without the data; repeatable."
    ),
]
PublicChannels = Annotated[
    int | None,
    typer.Option("--public-channels", help="With --epsilon: 1 for grey images, 3 for colour."),
]
DataSet = Annotated[
    str | None,
    typer.Option(
        "--data-set",
        help="With --epsilon: what the register calls these patients; for tables of the same ones, their"
        " schema's name. (default: the name of DATA)",
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="Frozen features alone: minutes.")]
Folds = Annotated[int, typer.Option("--folds", min=2, max=20)]
Seeds = Annotated[int, typer.Option("--seeds", min=1, max=20, help="Repetitions of the folds.")]
AnySideUp = Annotated[
    bool, typer.Option("--any-side-up", help="Nothing is up in these images: turn them every way.")
]
Classifier = Annotated[
    str | None,
    typer.Option("--classifier", help="Taught whole: resnet18_small, resnet50 or efficientnet_v2_s."),
]
Synthetic = Annotated[
    Path | None,
    typer.Option(
        "--synthetic",
        help="With --quick: also judge this .npz of `images sample`. Its model must have been fitted without"
        " --epsilon, and on other patients than these: every image here judges in some split.",
        exists=True,
    ),
]
Weights = Annotated[
    Path | None, typer.Option("--weights", help="A file of weights that it starts from.", exists=True)
]
Steps = Annotated[
    int | None, typer.Option("--steps", min=1, help="Steps of the classifier taught whole; 300 if not given.")
]
ClassifierSize = Annotated[
    int | None, typer.Option("--classifier-size", min=28, max=256, help="Pixels a side that it sees.")
]
Minutes = Annotated[
    float | None,
    typer.Option(
        "--minutes", min=0, help="Begin no split after so long, nor an arm taught whole; call again to go on."
    ),
]
Processes = Annotated[int, typer.Option("--processes", min=1, help="Splits worked on at a time.")]
StudySeed = Annotated[int, typer.Option("--seed", min=0, help="Of the first repetition.")]
OutModel = Annotated[Path, typer.Option("--out", "-o", help="The model folder to make.")]
Model = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="What `images fit` made.", exists=True, file_okay=False),
]
Images = Annotated[int, typer.Option("--images", "-n", min=1, help="How many of each class.")]
OutImages = Annotated[Path, typer.Option("--out", "-o", help="An .npz file, or a folder of PNG to make.")]
Classes = Annotated[list[str] | None, typer.Option("--class", help="Only this class; repeatable.")]
Way = Annotated[str, typer.Option("--way", help="interpolation, spherical, posterior or prior.")]
Low = Annotated[float, typer.Option("--low", min=0, max=1, help="Least weight between parents.")]
High = Annotated[float, typer.Option("--high", min=0, max=1, help="Largest weight.")]
SourceData = Annotated[
    Path | None,
    typer.Option("--data", help="The images it was fitted on, for --detail.", exists=True),
]
Detail = Annotated[
    float, typer.Option("--detail", min=0, max=1, help="Share of the nearer parent's detail; needs --data.")
]
Share = Annotated[bool, typer.Option("--share", help="The images are to leave the hospital.")]
Override = Annotated[
    str, typer.Option("--override", help="Why they may leave without a guarantee, and who decided.")
]
Key = Annotated[Path, typer.Argument(metavar="KEY", help="turing_key.json of the study.", exists=True)]
AnswerFiles = Annotated[list[Path], typer.Argument(metavar="ANSWERS", help="What raters saved.", exists=True)]
Margin = Annotated[float, typer.Option("--margin", min=0.01, max=0.49, help="Around one half.")]
