"""An FMU for tests, compiled here: a first-order lag with direct feed-through that fails in every way if told to.

With input u, gain K and time constant tau, an exact step of length h is x <- x + (K·u − x)·(1 − exp(−h/tau));
the outputs are y = x and through = x + u. It answers with an error to calls that FMI does not allow in its state.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

GUID = "{lag}"

# name: reference, type in FMI 2, causality, variability, further attributes
VARIABLES = {
    "u": (0, "Real", "input", "continuous", 'start="0" min="-10" max="10" unit="V"'),
    "gain": (1, "Real", "parameter", "fixed", 'start="2" min="0"'),
    "tau": (2, "Real", "parameter", "fixed", 'start="1.5"'),
    "y": (3, "Real", "output", "continuous", 'declaredType="Level"'),
    "through": (4, "Real", "output", "continuous", ""),
    "crash_above": (5, "Real", "parameter", "fixed", 'start="1e9"'),
    "error_above": (6, "Real", "parameter", "fixed", 'start="1e9"'),
    "nan_above": (7, "Real", "parameter", "fixed", 'start="1e9"'),
    "fatal_above": (8, "Real", "parameter", "fixed", 'start="1e9"'),
    "no_reset": (9, "Real", "parameter", "fixed", 'start="0"'),
    "silent_above": (11, "Real", "parameter", "fixed", 'start="1e9"'),
    "rate": (10, "Real", "local", "continuous", ""),
    "mode": (20, "Integer", "input", "discrete", 'start="0" min="0" max="3"'),
    "steps": (21, "Integer", "output", "discrete", ""),
    "enabled": (30, "Boolean", "input", "discrete", 'start="true"'),
    "high": (31, "Boolean", "output", "discrete", ""),
    "note": (40, "String", "output", "discrete", ""),
}
UNUSED = {
    2: """CancelStep DeSerializeFMUstate FreeFMUstate GetBooleanStatus GetDirectionalDerivative GetFMUstate
        GetIntegerStatus GetRealOutputDerivatives GetRealStatus GetStatus GetString GetStringStatus
        GetTypesPlatform GetVersion SerializeFMUstate SerializedFMUstateSize SetDebugLogging SetFMUstate
        SetRealInputDerivatives SetString""",
    3: """GetVersion SetDebugLogging InstantiateModelExchange InstantiateScheduledExecution EnterEventMode
        GetFloat32 GetInt8 GetUInt8 GetInt16 GetUInt16 GetUInt32 GetInt64 GetUInt64 GetString GetBinary
        GetClock SetFloat32 SetInt8 SetUInt8 SetInt16 SetUInt16 SetUInt32 SetInt64 SetUInt64 SetString
        SetBinary SetClock GetNumberOfVariableDependencies GetVariableDependencies GetFMUState
        SetFMUState FreeFMUState SerializedFMUStateSize SerializeFMUState DeserializeFMUState
        GetDirectionalDerivative GetAdjointDerivative EnterConfigurationMode ExitConfigurationMode
        GetIntervalDecimal GetIntervalFraction GetShiftDecimal GetShiftFraction SetIntervalDecimal
        SetIntervalFraction SetShiftDecimal SetShiftFraction EvaluateDiscreteStates UpdateDiscreteStates
        EnterContinuousTimeMode CompletedIntegratorStep SetTime SetContinuousStates
        GetContinuousStateDerivatives GetEventIndicators GetContinuousStates
        GetNominalsOfContinuousStates GetNumberOfEventIndicators GetNumberOfContinuousStates
        EnterStepMode GetOutputDerivatives ActivateModelPartition""",
}

MODEL = r"""
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INSTANTIATED, INITIALIZING, STEPPING, TERMINATED, BROKEN, DEAD };
enum { OK = 0, ERROR = 3, FATAL = 4 };
typedef struct {
    double real[12];
    int mode, steps, state;
    bool enabled;
    double time;
    char folder[512];
    void (*say)(void *, const char *);
    void *listener;
} Lag;

static void defaults(Lag *m) {
    double real[12] = {0, 2, 1.5, 0, 0, 1e9, 1e9, 1e9, 1e9, 0, 0, 1e9};
    memcpy(m->real, real, sizeof real);
    m->mode = m->steps = 0;
    m->enabled = true;
    m->state = INSTANTIATED;
}

static int broken(Lag *m, int status, const char *what) {
    char text[700];
    snprintf(text, sizeof text, "%s in %s", what, m->folder);
    m->say(m->listener, text);
    m->state = status == FATAL ? DEAD : BROKEN;
    return status;
}

static Lag *make(const char *folder) {
    Lag *m = calloc(1, sizeof(Lag));
    defaults(m);
    snprintf(m->folder, sizeof m->folder, "%s", folder);
    return m;
}

static void end_of(Lag *m) {
    if (m->state == DEAD) abort(); /* nothing may be called after a fatal error */
    free(m);
}

static int reset(Lag *m) {
    if (m->state == DEAD) abort();
    if (m->real[9] > 0) return broken(m, ERROR, "no reset");
    defaults(m);
    return OK;
}

static int begin(Lag *m, double start) {
    if (m->state != INSTANTIATED) return broken(m, ERROR, "initialized twice");
    m->time = start;
    m->state = INITIALIZING;
    return OK;
}

static int start(Lag *m) {
    if (m->state != INITIALIZING) return broken(m, ERROR, "not initializing");
    m->state = STEPPING;
    return OK;
}

static int end(Lag *m) {
    if (m->state != STEPPING) return broken(m, ERROR, "not stepping");
    m->state = TERMINATED;
    return OK;
}

static int step(Lag *m, double now, double h) {
    double u = m->real[0];
    if (m->state != STEPPING || fabs(now - m->time) > 1e-9) return broken(m, ERROR, "a step out of order");
    if (u > m->real[5]) abort();
    if (u > m->real[6]) return broken(m, ERROR, "u is too large");
    if (u > m->real[11]) return ERROR;
    if (u > m->real[8]) return broken(m, FATAL, "u is much too large");
    double wanted = m->enabled ? m->real[1] * u + m->mode : 0;
    m->real[3] += (wanted - m->real[3]) * (1 - exp(-h / m->real[2]));
    if (u > m->real[7]) m->real[3] = NAN;
    m->steps += 1;
    m->time = now + h;
    return OK;
}

static int set(Lag *m, const unsigned *at, size_t n, const double *values) {
    for (size_t i = 0; i < n; i++) {
        if (at[i] != 0 && m->state != INSTANTIATED) return broken(m, ERROR, "a parameter set too late");
        m->real[at[i]] = values[i];
    }
    return OK;
}

static int get(Lag *m, const unsigned *at, size_t n, double *values) {
    if (m->state != STEPPING) return broken(m, ERROR, "read too early");
    m->real[4] = m->real[3] + m->real[0];
    m->real[10] = (m->real[1] * m->real[0] - m->real[3]) / m->real[2];
    for (size_t i = 0; i < n; i++) values[i] = m->real[at[i]];
    return OK;
}
"""

FMI2 = r"""
typedef struct {
    void (*logger)(void *, const char *, int, const char *, const char *, ...);
    void *(*allocate)(size_t, size_t);
    void (*release)(void *);
    void (*finished)(void *, int);
    void *environment;
} Callbacks;
static void say(void *listener, const char *text) {
    Callbacks *c = listener;
    c->logger(c->environment, "lag", ERROR, "error", "%s", text);
}
void *fmi2Instantiate(const char *name, int type, const char *guid, const char *folder, Callbacks *c, int v,
                      int l) {
    if (type != 1 || strcmp(guid, "{lag}")) return NULL;
    Lag *m = make(folder);
    m->say = say;
    m->listener = c;
    return m;
}
void fmi2FreeInstance(Lag *m) { end_of(m); }
int fmi2SetupExperiment(Lag *m, int has, double tolerance, double from, int stops, double stop) {
    m->time = from;
    return OK;
}
int fmi2EnterInitializationMode(Lag *m) { return begin(m, m->time); }
int fmi2ExitInitializationMode(Lag *m) { return start(m); }
int fmi2Terminate(Lag *m) { return end(m); }
int fmi2Reset(Lag *m) { return reset(m); }
int fmi2DoStep(Lag *m, double now, double h, int keep) { return step(m, now, h); }
int fmi2SetReal(Lag *m, const unsigned *at, size_t n, const double *v) { return set(m, at, n, v); }
int fmi2GetReal(Lag *m, const unsigned *at, size_t n, double *v) { return get(m, at, n, v); }
int fmi2SetInteger(Lag *m, const unsigned *at, size_t n, const int *v) { m->mode = v[0]; return OK; }
int fmi2GetInteger(Lag *m, const unsigned *at, size_t n, int *v) { v[0] = m->steps; return OK; }
int fmi2SetBoolean(Lag *m, const unsigned *at, size_t n, const int *v) { m->enabled = v[0]; return OK; }
int fmi2GetBoolean(Lag *m, const unsigned *at, size_t n, int *v) { v[0] = m->real[3] > 0.5; return OK; }
"""

FMI3 = r"""
typedef void (*Listener)(void *, int, const char *, const char *);
static void say(void *listener, const char *text) { ((Listener)listener)(NULL, ERROR, "error", text); }
void *fmi3InstantiateCoSimulation(const char *name, const char *token, const char *folder, bool v, bool l,
                                  bool events, bool early, const unsigned *between, size_t n, void *environment,
                                  Listener listener, void *update) {
    if (strcmp(token, "{lag}")) return NULL;
    Lag *m = make(folder);
    m->say = say;
    m->listener = listener;
    return m;
}
void fmi3FreeInstance(Lag *m) { end_of(m); }
int fmi3EnterInitializationMode(Lag *m, bool has, double tolerance, double from, bool stops, double stop) {
    return begin(m, from);
}
int fmi3ExitInitializationMode(Lag *m) { return start(m); }
int fmi3Terminate(Lag *m) { return end(m); }
int fmi3Reset(Lag *m) { return reset(m); }
int fmi3DoStep(Lag *m, double now, double h, bool keep, bool *event, bool *over, bool *early, double *last) {
    *event = *early = false;
    *over = m->real[0] > 1e6;
    *last = now + h;
    return step(m, now, h);
}
int fmi3SetFloat64(Lag *m, const unsigned *at, size_t n, const double *v, size_t nv) { return set(m, at, n, v); }
int fmi3GetFloat64(Lag *m, const unsigned *at, size_t n, double *v, size_t nv) { return get(m, at, n, v); }
int fmi3SetInt32(Lag *m, const unsigned *at, size_t n, const int *v, size_t nv) { m->mode = v[0]; return OK; }
int fmi3GetInt32(Lag *m, const unsigned *at, size_t n, int *v, size_t nv) { v[0] = m->steps; return OK; }
int fmi3SetBoolean(Lag *m, const unsigned *at, size_t n, const bool *v, size_t nv) { m->enabled = v[0]; return OK; }
int fmi3GetBoolean(Lag *m, const unsigned *at, size_t n, bool *v, size_t nv) { v[0] = m->real[3] > 0.5; return OK; }
"""


@dataclass(frozen=True)
class Build:
    """What is in the archive; a test changes one thing of it."""

    version: int
    library: bytes
    platform: str
    interface: str = "CoSimulation"
    experiment: str = '<DefaultExperiment startTime="1" stopTime="9" stepSize="0.25"/>'

    def write(self, path: Path, **changes: str) -> Path:
        """The FMU at ``path``."""
        build = replace(self, **changes)  # type: ignore[arg-type]
        suffix = {"linux": ".so", "darwin": ".dylib", "win32": ".dll"}[sys.platform]
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("modelDescription.xml", _description(build))
            archive.writestr(f"binaries/{build.platform}/lag{suffix}", build.library)
        return path


def build_fmu(version: int, folder: Path) -> Build:
    """Compile the model for one version of FMI."""
    compiler = shutil.which("cc")
    fmpy = pytest.importorskip("fmpy")
    if compiler is None:
        pytest.skip("no C compiler")
    stubs = "".join(f"int fmi{version}{name}(void) {{ return ERROR; }}\n" for name in UNUSED[version].split())
    source, library = folder / f"lag{version}.c", folder / f"lag{version}.so"
    source.write_text(MODEL + {2: FMI2, 3: FMI3}[version] + stubs)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-lm"], check=True)
    platform = {2: fmpy.platform, 3: fmpy.platform_tuple}[version]
    return Build(version, library.read_bytes(), platform)


def _description(build: Build) -> str:
    variables = "\n".join(_variable(build.version, name) for name in VARIABLES)
    interface = f'<{build.interface} modelIdentifier="lag"/>'
    units = '<UnitDefinitions><Unit name="V"/><Unit name="m"/></UnitDefinitions>'
    if build.version == 2:
        head = f'fmiVersion="2.0" modelName="lag" guid="{GUID}"'
        types = '<SimpleType name="Level"><Real unit="m" min="-100" max="100"/></SimpleType>'
    else:
        head = f'fmiVersion="3.0" modelName="lag" instantiationToken="{GUID}"'
        types = '<Float64Type name="Level" unit="m" min="-100" max="100"/>'
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<fmiModelDescription {head}>{interface}{units}<TypeDefinitions>{types}</TypeDefinitions>
{build.experiment}<ModelVariables>{variables}</ModelVariables><ModelStructure/></fmiModelDescription>"""


def _variable(version: int, name: str) -> str:
    reference, kind, causality, variability, more = VARIABLES[name]
    head = f'name="{name}" valueReference="{reference}" causality="{causality}" variability="{variability}"'
    if version == 2:
        return f"<ScalarVariable {head}><{kind} {more}/></ScalarVariable>"
    return f"<{ {'Real': 'Float64', 'Integer': 'Int32'}.get(kind, kind) } {head} {more}/>"
