"""The module MedFM: what Slicer asks of it; the work is done in MedFMLib, and the computing in a process of its own."""

import importlib.util
import os

import slicer
import vtk
from MedFMLib.sample import SAMPLE_SHA256, sample_scan
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class MedFM(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedFM")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["The MedFM authors (MedFM)"]
        self.parent.helpText = _(
            "Outlines organs in CT, lists findings by organ with scores, and shows where the scores come from; encodes "
            "brain MRI (T1w, T2w, FLAIR) and shows what its vectors are made of. "
            "Research use only: not a medical device, not for diagnosis or treatment. Nothing leaves this computer. "
            'See the <a href="{link}">documentation</a>.'
        ).format(link="https://github.com/medfm/SlicerMedFM#readme")
        self.parent.acknowledgementText = _(
            "Built on the published designs of TotalFM, Neuro-JEPA, Pan-FM and SPAD-Nets; names and codes of organs "
            "follow TotalSegmentator and SNOMED CT. The sample CT is from LIDC-IDRI (The Cancer Imaging Archive, CC BY "
            "3.0). Please cite the papers of the models that you use; the panel names them."
        )
        slicer.app.connect("startupCompleted()", register_sample)


def register_sample():
    """Offer the sample CT in the module Sample Data."""
    scan = sample_scan()
    if scan is None:
        return
    import SampleData

    icons = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Resources", "Icons")
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="MedFM",
        sampleName="MedFMChest",
        thumbnailFileName=os.path.join(icons, "MedFM.png"),
        uris=scan.as_uri(),
        fileNames=scan.name,
        nodeNames="MedFMChest",
        checksums=f"SHA256:{SAMPLE_SHA256}",
    )


@parameterNodeWrapper
class MedFMParameterNode:
    """Settings of the case, saved with the scene; those of the computer are in Slicer's settings.

    Attributes:
        inputVolume: the scan.
        secondVolume: of brain MRI, another scan of the same study.
        thirdVolume: likewise.
        sequences: of the three, parted by commas, where they were chosen: "T1w", "T2w" or "FLAIR".
        model: that outlines the organs, or encodes the brain; "" for the default one.
        findingsModel: "" for the default one.
        withFindings: whether findings are assessed.
        force: go on although the scan does not look like a CT in Hounsfield units.
        strip: of brain MRI, take the skull away first.
        register: of brain MRI, register to MNI space first.
    """

    inputVolume: slicer.vtkMRMLScalarVolumeNode
    secondVolume: slicer.vtkMRMLScalarVolumeNode
    thirdVolume: slicer.vtkMRMLScalarVolumeNode
    sequences: str = ""
    model: str = ""
    findingsModel: str = ""
    withFindings: bool = True
    force: bool = False
    strip: bool = False
    register: bool = False


class MedFMWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel's life in Slicer: made, shown, hidden, reloaded, and what happens to the scene meanwhile."""

    logic = panel = model = scene = None  # of the class: without a parent the base class calls `setup` itself
    _parameters = _tag = None

    def setup(self):
        """Make the panel; nothing is computed or looked for before it is entered."""
        ScriptedLoadableModuleWidget.setup(self)
        from MedFMLib.panel import Panel, Surroundings
        from MedFMLib.panel_dialogs import Dialogs
        from MedFMLib.panel_installer import SlicerInstaller
        from MedFMLib.panel_qt import slicer_toolkit
        from MedFMLib.scene import SlicerScene
        from MedFMLib.view_model import PanelModel

        widget = slicer.util.loadUI(self.resourcePath("UI/MedFM.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic, toolkit = MedFMLogic(), slicer_toolkit()
        self.scene = SlicerScene(slicer.mrmlScene)
        self.model = PanelModel(self.logic.launch, self.scene, SlicerInstaller())
        around = Surroundings(toolkit, self.scene, self.logic.settings(), Dialogs(toolkit, widget), self._keep)
        self.panel = Panel(self.ui, self.model, around)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)

    def enter(self):
        """The module is opened."""
        self._bind()
        self.model.enter()

    def exit(self):
        """Another module is opened; what runs goes on."""
        self._unbind()

    def cleanup(self):
        """The module is reloaded, or Slicer ends: no process, no temporary file, no observer stays."""
        self._unbind()
        self.removeObservers()
        if self.panel is not None:
            self.panel.close()
            self.model.close()
            self.scene.close()
            self.panel = None

    def onReload(self):
        """Reload the library too."""
        import sys

        for name in [name for name in sys.modules if name.partition(".")[0] == "MedFMLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event):
        """The parameter node goes with the scene."""
        self._unbind()

    def onSceneEndClose(self, caller, event):
        """The scene is empty."""
        self.model.scene_closed()
        self._bind_if_shown()

    def onSceneEndImport(self, caller, event):
        """A scene was opened, perhaps with choices of its own."""
        self._unbind()
        self._bind_if_shown()
        self.model.scene_opened()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node):
        """A node goes; its volume may be the one that is analysed."""
        if node is not None and node.IsA("vtkMRMLVolumeNode") and not slicer.mrmlScene.IsClosing():
            self.model.volume_removed(node)

    def _bind_if_shown(self):
        if self.parent.isEntered:
            self._bind()

    def _bind(self):
        """Take the choices of the scene; where it has none, the first volume."""
        if self._parameters is not None:
            return
        parameters = self.logic.getParameterNode()
        if not parameters.inputVolume:
            parameters.inputVolume = self.scene.likely_input()
        self._parameters, self._tag = parameters, parameters.connectGui(self.ui)
        self.panel.analysis.show_choices(_choices_of(parameters, self.model.choices))
        sequences = parameters.sequences.split(",")
        if self.model.volume != parameters.inputVolume:
            self.model.set_volume(parameters.inputVolume)
        for place, volume in enumerate((parameters.secondVolume, parameters.thirdVolume), start=1):
            if self.model.brain.volumes[place] != volume:
                self.model.brain.set_volume(place, volume)
        for place, sequence in enumerate(sequences[: len(self.model.brain.volumes)]):
            self.model.brain.set_sequence(place, sequence)

    def _unbind(self):
        if self._parameters is not None:
            self._parameters.disconnectGui(self._tag)
            self._parameters = self._tag = None

    def _keep(self, choices):
        """Keep the user's choices in the scene; the volume is kept by the binding."""
        if self._parameters is not None:
            self._parameters.model, self._parameters.findingsModel = choices.model, choices.findings_model
            self._parameters.withFindings = choices.findings is not False
            self._parameters.force = choices.force
            self._parameters.strip, self._parameters.register = choices.strip, choices.register
            self._parameters.sequences = ",".join(self.model.brain.chosen)


def _choices_of(parameters, choices):
    from dataclasses import replace

    return replace(
        choices,
        model=parameters.model,
        findings_model=parameters.findingsModel,
        findings=None if parameters.withFindings else False,
        force=parameters.force,
        strip=parameters.strip,
        register=parameters.register,
    )


class MedFMLogic(ScriptedLoadableModuleLogic):
    """What scripts and other extensions call; needs no widget."""

    def getParameterNode(self):
        """The choices of the case."""
        return MedFMParameterNode(super().getParameterNode())

    def settings(self):
        """The settings of the computer."""
        import qt
        from MedFMLib.panel_settings import Settings

        return Settings(qt.QSettings())

    def launch(self):
        """The Python that computes, as the settings say now."""
        return self.settings().launch(slicer.util.startupEnvironment)

    def process(
        self,
        inputVolume,
        model="",
        findingsModel="",
        device="auto",
        outputFolder="",
        otherVolumes=(),
        sequences=(),
        strip=False,
        register=False,
    ):
        """Analyse a volume, wait, and leave the result in the scene; Slicer stays responsive.

        A volume that DICOM or its name says is MR is analysed as brain MRI, and so are several volumes.

        :param inputVolume: vtkMRMLScalarVolumeNode, a CT in Hounsfield units, or a T1w, T2w or FLAIR of a brain.
        :param model: id, or path of the card, of the model that outlines the organs or encodes the brain; "" for the
            default one.
        :param findingsModel: likewise of the model that scores findings; "" for the default one.
        :param device: "auto", "cpu", "cuda:0", "mps".
        :param outputFolder: keeps the files of the result, in a folder named after the volume; "" keeps none.
        :param otherVolumes: of brain MRI, further volumes of the same study.
        :param sequences: of brain MRI, "T1w", "T2w" or "FLAIR" for each volume; without it their names decide.
        :param strip: of brain MRI, take the skull away first.
        :param register: of brain MRI, register to MNI space first.
        :returns: dict with the segmentation node "organs" and the table node "findings" (None where there are none),
            and "maps": of brain MRI, nodes of saliency and experts by their names.
        :raises ValueError: there is no volume.
        :raises RuntimeError: one sentence that says what failed and what to do.
        """
        if not inputVolume:
            raise ValueError("Choose an input volume.")
        from MedFMLib.process import process, with_sequences
        from MedFMLib.results import ResultError
        from MedFMLib.run_parts import RunOptions
        from MedFMLib.scene import SlicerScene

        scene = SlicerScene(slicer.mrmlScene)
        options = RunOptions(
            device, model, findingsModel, keep_in=str(outputFolder), strip=bool(strip), register=bool(register)
        )
        volumes = (inputVolume, *otherVolumes)
        try:
            options = with_sequences(volumes, scene, options, tuple(sequences))
            process(inputVolume, scene, self.launch, options, lambda view: slicer.app.processEvents(), otherVolumes)
            maps = {node.GetName(): node for volume in volumes for node in scene.maps(volume)}
            organs, findings = scene.segmentation(inputVolume), scene.findings(inputVolume)
            return {"organs": organs, "findings": findings, "maps": maps if options.sequences else {}}
        except ResultError as error:
            raise RuntimeError(str(error)) from error
        finally:
            scene.close()


class MedFMTest(ScriptedLoadableModuleTest):
    """Tests inside Slicer; those of the parts are in the folder Testing of the source."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all tests; the one that computes only where torch is there."""
        self.setUp()
        self.test_ChoicesAreKeptInTheScene()
        self.setUp()
        self.test_VolumeIsChecked()
        if importlib.util.find_spec("torch") is not None and sample_scan() is not None:
            self.setUp()
            self.test_SampleIsAnalysed()

    def test_ChoicesAreKeptInTheScene(self):
        """The parameter node holds what was chosen."""
        parameters = MedFMLogic().getParameterNode()
        parameters.model = "organ-segmenter-tiny.v2"
        self.assertEqual(MedFMLogic().getParameterNode().model, "organ-segmenter-tiny.v2")
        self.assertTrue(parameters.withFindings)

    def test_VolumeIsChecked(self):
        """What cannot be analysed is refused with a sentence."""
        from MedFMLib.input_check import check_input
        from MedFMLib.scene import SlicerScene

        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Slice")
        image = vtk.vtkImageData()
        image.SetDimensions(8, 8, 1)
        image.AllocateScalars(vtk.VTK_SHORT, 1)
        volume.SetAndObserveImageData(image)
        scene = SlicerScene(slicer.mrmlScene)
        check = check_input(scene.facts(volume))
        scene.close()
        self.assertFalse(check.can_run)
        self.assertIn("single slice", check.problems[0])

    def test_SampleIsAnalysed(self):
        """The whole way, with the shipped weights."""
        volume = slicer.util.loadVolume(str(sample_scan()))
        found = MedFMLogic().process(volume)
        self.assertGreater(found["organs"].GetSegmentation().GetNumberOfSegments(), 20)
        self.assertGreater(found["findings"].GetTable().GetNumberOfRows(), 50)
        self.delayDisplay("The sample was analysed")
