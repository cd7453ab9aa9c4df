#include <Python.h>

typedef struct TSLanguage TSLanguage;

TSLanguage *tree_sitter_layerlr(void);

static PyObject *binding_language(PyObject *self, PyObject *args) {
  (void)self;
  (void)args;
  return PyCapsule_New(tree_sitter_layerlr(), "tree_sitter.Language", NULL);
}

static PyMethodDef methods[] = {
    {"language", binding_language, METH_NOARGS, "The language, as `tree_sitter.Language` takes it."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_binding",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__binding(void) { return PyModule_Create(&module); }
