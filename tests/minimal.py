"""The content of Debian's smallest Python: the modules in the files of libpython3.N-minimal, and the C modules in the
program of python3.N-minimal (the names of its PyInit functions), from the packages of these releases."""

from typing import Dict, Tuple

# release: (modules in /usr/lib/python3.N and its lib-dynload, modules that are built in)
MINIMAL: "Dict[str, Tuple[str, str]]" = {
    "bullseye": (  # 3.9.2-1
        """
        __future__ _bootlocale _collections_abc _compat_pickle _hashlib _opcode _py_abc _sitebuiltins _ssl
        _strptime _threading_local _weakrefset abc argparse ast base64 bisect calendar codecs collections
        compileall configparser contextlib copy copyreg csv datetime dis email encodings enum filecmp
        fnmatch functools genericpath getopt glob hashlib heapq imp importlib inspect io ipaddress keyword
        linecache locale logging opcode operator optparse os pathlib pickle pkgutil platform posixpath
        py_compile quopri random re reprlib runpy selectors signal site sitecustomize socket sre_compile
        sre_constants sre_parse ssl stat string stringprep struct subprocess sysconfig tempfile textwrap
        threading token tokenize traceback tracemalloc types typing urllib uu warnings weakref zipfile
        zipimport
        """,
        """
        _abc _ast _bisect _blake2 _codecs _collections _csv _datetime _elementtree _functools _heapq _imp
        _io _locale _md5 _operator _peg_parser _pickle _posixsubprocess _random _sha1 _sha256 _sha3 _sha512
        _signal _socket _sre _stat _statistics _string _struct _symtable _thread _tracemalloc _weakref array
        atexit binascii cmath errno faulthandler fcntl gc grp itertools math posix pwd pyexpat select spwd
        syslog time unicodedata xxsubtype zlib
        """,
    ),
    "bookworm": (  # 3.11.2-6+deb12u8
        """
        __future__ _collections_abc _compat_pickle _hashlib _py_abc _sitebuiltins _ssl _strptime
        _threading_local _weakrefset abc argparse ast base64 bisect calendar codecs collections compileall
        configparser contextlib copy copyreg csv datetime dis email encodings enum filecmp fnmatch functools
        genericpath getopt glob hashlib heapq imp importlib inspect io ipaddress keyword linecache locale
        logging opcode operator optparse os pathlib pickle pkgutil platform posixpath py_compile quopri
        random re reprlib runpy selectors signal site sitecustomize socket sre_compile sre_constants
        sre_parse ssl stat string stringprep struct subprocess sysconfig tempfile textwrap threading token
        tokenize traceback tracemalloc types typing urllib uu warnings weakref zipfile zipimport
        """,
        """
        _abc _ast _bisect _blake2 _codecs _collections _csv _datetime _elementtree _functools _heapq _imp
        _io _locale _md5 _opcode _operator _pickle _posixsubprocess _random _sha1 _sha256 _sha3 _sha512
        _signal _socket _sre _stat _statistics _string _struct _symtable _thread _tokenize _tracemalloc
        _weakref array atexit binascii cmath errno faulthandler fcntl gc grp itertools math posix pwd
        pyexpat select spwd syslog time unicodedata xxsubtype zlib
        """,
    ),
    "trixie": (  # 3.13.5-2+deb13u5
        """
        __future__ _collections_abc _colorize _compat_pickle _hashlib _opcode_metadata _py_abc _sitebuiltins
        _ssl _strptime _threading_local _weakrefset abc argparse ast base64 bisect calendar codecs
        collections compileall configparser contextlib copy copyreg csv dataclasses datetime dis email
        encodings enum filecmp fnmatch functools genericpath getopt glob hashlib heapq importlib inspect io
        ipaddress json keyword linecache locale logging opcode operator optparse os pathlib pickle pkgutil
        platform posixpath py_compile quopri random re reprlib runpy selectors signal site sitecustomize
        socket sre_compile sre_constants sre_parse ssl stat string stringprep struct subprocess sysconfig
        tempfile textwrap threading token tokenize traceback tracemalloc types typing urllib warnings
        weakref zipfile zipimport
        """,
        """
        _abc _ast _bisect _blake2 _codecs _collections _csv _datetime _elementtree _functools _heapq _imp
        _io _json _locale _md5 _opcode _operator _pickle _posixsubprocess _random _sha1 _sha2 _sha3 _signal
        _socket _sre _stat _statistics _string _struct _suggestions _symtable _sysconfig _thread _tokenize
        _tracemalloc _typing _weakref array atexit binascii cmath errno faulthandler fcntl gc grp itertools
        math posix pwd pyexpat select syslog time unicodedata zlib
        """,
    ),
    "sid": (  # 3.14.10-1
        """
        __future__ _ast_unparse _collections_abc _colorize _compat_pickle _hashlib _opcode_metadata _py_abc
        _py_warnings _sitebuiltins _ssl _strptime _threading_local _weakrefset abc annotationlib argparse
        ast base64 bisect calendar codecs collections compileall compression configparser contextlib copy
        copyreg csv dataclasses datetime dis email encodings enum filecmp fnmatch functools genericpath
        getopt glob hashlib heapq importlib inspect io ipaddress json keyword linecache locale logging
        opcode operator optparse os pathlib pickle pkgutil platform posixpath py_compile quopri random re
        reprlib runpy selectors shutil signal site sitecustomize socket sre_compile sre_constants sre_parse
        ssl stat string stringprep struct subprocess sysconfig tempfile textwrap threading token tokenize
        traceback tracemalloc types typing urllib warnings weakref zipfile zipimport
        """,
        """
        _abc _ast _bisect _blake2 _codecs _collections _contextvars _csv _datetime _elementtree _functools
        _heapq _imp _io _json _locale _md5 _opcode _operator _pickle _posixsubprocess _random _sha1 _sha2
        _sha3 _signal _socket _sre _stat _statistics _string _struct _suggestions _symtable _sysconfig
        _thread _tokenize _tracemalloc _types _typing _weakref array atexit binascii cmath errno
        faulthandler fcntl gc grp itertools math posix pwd pyexpat select syslog time unicodedata zlib
        """,
    ),
}
